"""Checkpoints whose files never end, or end their process: told in seconds."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.contracts.chat import Prompting
from stages.engines.starts.trial import need_tractable
from stages.running.errors import BadInput

TOKENIZER = Path(__file__).parents[2] / "contracts/tokenizers/bytelevel.json"
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def checkpoint(folder: Path, template: str = "{{ messages[0].content }}", **tokenizer: Any) -> Path:
    told = json.loads(TOKENIZER.read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**told, **tokenizer}), encoding="utf-8")
    settings = {"eos_token": "<|im_end|>", "pad_token": "<|pad|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text('{"eos_token_id": 2}')
    (folder / "chat_template.jinja").write_text(template)
    return folder


def tried(folder: Path) -> None:
    need_tractable(folder, Prompting(None, "<think>\n"), ["a" * 60 + "!"], ["What is 3 + 4?"])


def test_a_sound_checkpoint_is_tractable(tmp_path: Path) -> None:
    tried(checkpoint(tmp_path))


def doubling() -> dict[str, Any]:
    once = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return {"normalizer": {"type": "Sequence", "normalizers": [once] * 40}}


def backtracking() -> dict[str, Any]:
    pattern = {"Regex": "(a|aa)+$"}
    return {
        "pre_tokenizer": {
            "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    "hostile",
    [{"template": LOOPS}, doubling(), backtracking()],
    ids=["loops", "doubling", "backtracking"],
)
def test_what_never_ends_is_refused(hostile: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"its tokenizer and chat template (takes more|fails beyond)"
    ):
        tried(checkpoint(tmp_path, **hostile))


def test_a_model_out_of_all_bounds_is_refused(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    config = {"model_type": "llama", "num_hidden_layers": 10**6, "eos_token_id": 2}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=r"its config\.json takes more than"):
        tried(folder)
