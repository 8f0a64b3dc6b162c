"""A policy on disk: equal bytes for equal weights, and only the whole of it is opened."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from stages.engines.policy import WEIGHTS_FILE, load_policy, save_policy
from stages.running.errors import BadInput
from tests.engines.countdown_policy import RENDERER, contents, logits, policy


def test_saved_loaded_and_saved_again_it_is_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    for name in ("again", "and_again"):
        save_policy(load_policy(saved), RENDERER, tmp_path / name)
        assert contents(tmp_path / name) == contents(saved)


def test_saved_and_loaded_it_is_the_same_function(saved: Path) -> None:
    assert torch.equal(logits(load_policy(saved)), logits(policy()))


def test_nothing_of_this_machine_is_saved(saved: Path) -> None:
    assert set(contents(saved)) == {
        WEIGHTS_FILE,
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((saved / "config.json").read_text())
    assert not {"transformers_version", "_name_or_path"} & set(config)
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["pad_token_id"], config["eos_token_id"]) == (
        RENDERER.pad_token,
        RENDERER.eos_token,
    )


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_its_files_are_readable_by_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save_policy(policy(), RENDERER, tmp_path / "r0")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "r0").iterdir()}
    assert modes == {0o666 & ~umask}


def test_tied_weights_are_stored_once_and_stay_tied(saved: Path) -> None:
    assert "lm_head.weight" not in load_file(saved / WEIGHTS_FILE)
    model = load_policy(saved)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_transformers_opens_it(saved: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(saved, local_files_only=True)
    assert torch.equal(logits(model), logits(load_policy(saved)))
    tokenizer = AutoTokenizer.from_pretrained(saved, local_files_only=True)
    assert tokenizer("7 + 5 12 <<", add_special_tokens=False)["input_ids"] == RENDERER.encode(
        "7 + 5 12 <<"
    )


def test_a_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"policy .*r9 is missing; `dvc repro`"):
        load_policy(tmp_path / "r9")


@pytest.mark.parametrize("name", [WEIGHTS_FILE, "config.json"])
@pytest.mark.parametrize("keep_frac", [0.0, 0.5])
def test_a_truncated_file_is_refused(name: str, keep_frac: float, copied: Path) -> None:
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: int(keep_frac * len(content))])
    with pytest.raises(BadInput, match=r"policy .* is corrupt .* `dvc repro`"):
        load_policy(copied)


def test_a_missing_configuration_is_refused(copied: Path) -> None:
    (copied / "config.json").unlink()
    with pytest.raises(BadInput, match="corrupt"):
        load_policy(copied)


def test_weights_that_are_not_there_are_not_made_up(copied: Path) -> None:
    weights = load_file(copied / WEIGHTS_FILE)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copied / WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"corrupt.*model\.layers\.1\.mlp\.up_proj\.weight"):
        load_policy(copied)


def test_weights_of_another_shape_are_refused(copied: Path) -> None:
    weights = load_file(copied / WEIGHTS_FILE)
    weights["model.norm.weight"] = torch.ones(5)
    save_file(weights, copied / WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(BadInput, match="corrupt"):
        load_policy(copied)
