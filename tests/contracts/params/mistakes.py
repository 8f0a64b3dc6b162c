"""Mistakes in params.yaml: edits of the repository's file, and what their refusal must name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.checkouts import ROOT
from stages.contracts.params.whole import load
from stages.running.errors import BadInput

Raw = dict[str, Any]
Edit = Callable[[Raw], None]
Mistake = tuple[str, list[Edit], list[str]]
"""Its name, the edits that make it, and parts of the message that refuses it."""

FILE = ROOT / "params.yaml"
ABSENT = object()
ROUND = {"parent": "r0", "reference": "r0", "recipe": "information", "judge": "exact", "seed": 1}
SAMPLED = {"num_probes": 4, "answer_tokens": 13, "temperature": 1.0}
CHAT = {
    "kind": "chat",
    "thinking_start": "<think>\n",
    "thinking_end": "</think>",
    "answer_start": "\n\n",
    "segment_ends": ["\n\n"],
}
SFT = yaml.safe_load(FILE.read_text(encoding="utf-8"))["inits"]["r0"]["sft"]
JUDGE = {"base": "r0", "round": "i1", "seed": 1, "sft": SFT}


def raw() -> Raw:
    """The repository's params.yaml with two rounds and two exams."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    content["rounds"] = {"i1": dict(ROUND), "i2": {**ROUND, "parent": "i1", "seed": 2}}
    content["exams"] = {"r0": {"judge": "exact"}, "i2": {"judge": "exact"}}
    return content


def text_task(content: Raw) -> None:
    """Make it a reasoning-gym task that everything else fits."""
    tier = {"difficulty": 1, "num_train": 2, "num_heldout": 2, "num_reserved": 0, "config": {}}
    text = {"kind": "trained", "vocabulary_size": 300}
    content["task"] = {"name": "reasoning_gym", "family": "chain_sum", "seed": 1, "text": text}
    content["task"]["tiers"] = [tier]
    for init in content["inits"].values():
        init["demonstrations"] = {"strategy": "direct", "num_demos": 4}
    for recipe in content["recipes"].values():
        recipe["rollout"] |= {"difficulties": [1], "num_problems": 2}
        recipe["probe"] = {"estimator": "forced_answer", **SAMPLED, "answer_tokens": 8}


def chat_task(content: Raw) -> None:
    """Make it a reasoning-gym task in the words of a checkpoint."""
    text_task(content)
    content["task"]["text"] = CHAT
    content["inits"]["r0"]["model"] = {"hub": "org/name", "revision": "0" * 40, "sha256": "0" * 64}
    content["inits"]["r0"]["sft"]["epochs"] = 0


def put(key: str, value: object) -> Edit:
    """An edit that sets, or with ABSENT removes, one dotted key."""

    def edit(content: Raw) -> None:
        *way, last = [int(word) if word.isdigit() else word for word in key.split(".")]
        place: Any = content
        for word in way:
            place = place[word]
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value

    return edit


def written(folder: Path, *edits: Edit) -> Path:
    """The edited file in a folder."""
    content = raw()
    for edit in edits:
        edit(content)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def each_mistake(mistakes: Sequence[Mistake]) -> pytest.MarkDecorator:
    """Run a test of `edits` and `named` on each."""
    cases = [pytest.param(edits, named, id=name) for name, edits, named in mistakes]
    return pytest.mark.parametrize(("edits", "named"), cases)


def assert_refused(edits: Sequence[Edit], named: Sequence[str], folder: Path) -> None:
    """The edited file is refused in one message that names the file and all of `named`."""
    path = written(folder, *edits)
    with pytest.raises(BadInput) as refused:
        load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    for words in named:
        assert words in message
    assert "\nFor further information" not in message
