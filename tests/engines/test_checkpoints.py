"""Checkpoints to start from: found, told apart, refused, and opened as what they are."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.contracts.errors import BadInput
from stages.contracts.init_params import Checkpoint
from stages.contracts.render import Renderer
from stages.engines.checkpoints import checkpoint_renderer, find_checkpoint, load_checkpoint
from stages.engines.policy import WEIGHTS_FILE, save_policy
from stages.tasks.formats import load_format
from tests.engines.test_policy import RENDERER, TASK, contents, logits, policy


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "r0"
    save_policy(policy(), RENDERER, folder)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    for name, content in contents(saved).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def checkpoint(folder: Path) -> Checkpoint:
    """What params.yaml would say of a folder of one weights file."""
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    return Checkpoint(checkpoint=str(folder), sha256=digest)


def test_a_checkpoint_brings_its_weights_and_its_tokenizer(copied: Path) -> None:
    folder = find_checkpoint(checkpoint(copied))
    renderer = checkpoint_renderer(folder, None)
    assert renderer.encode("<bos> 3 T36 << |") == RENDERER.encode("<bos> 3 T36 << |")
    assert torch.equal(logits(load_checkpoint(folder, renderer)), logits(policy()))


def test_a_half_precision_checkpoint_is_trained_and_saved_in_float32(copied: Path, tmp_path: Path) -> None:
    weights = {name: tensor.bfloat16() for name, tensor in load_file(copied / WEIGHTS_FILE).items()}
    save_file(weights, copied / WEIGHTS_FILE, metadata={"format": "pt"})
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    model = load_checkpoint(copied, RENDERER)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    save_policy(model, RENDERER, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"] == "float32"
    assert {tensor.dtype for tensor in load_file(tmp_path / "saved" / WEIGHTS_FILE).values()} == {torch.float32}


@pytest.mark.parametrize("name", [WEIGHTS_FILE, "config.json", "tokenizer.json"])
def test_a_checkpoint_without_one_of_its_files_is_refused(name: str, copied: Path) -> None:
    start = checkpoint(copied)
    (copied / name).unlink()
    with pytest.raises(BadInput, match=rf"checkpoint .*: {name} missing"):
        find_checkpoint(start)


def test_other_weights_than_the_digest_says_are_refused(copied: Path) -> None:
    start = checkpoint(copied)
    save_policy(policy(seed=2), RENDERER, copied)
    found = checkpoint(copied).sha256
    with pytest.raises(BadInput, match=rf"{found}, not {start.sha256}"):
        find_checkpoint(start)


def test_a_checkpoint_with_a_corrupt_file_is_never_advised_to_be_deleted(copied: Path) -> None:
    config = (copied / "config.json").read_text()
    (copied / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"checkpoint .* cannot be opened .*fetch it anew") as caught:
        load_checkpoint(copied, RENDERER)
    (copied / "config.json").write_text(config)
    (copied / "tokenizer.json").write_text("{")
    with pytest.raises(BadInput, match=r"tokenizer\.json is corrupt") as other:
        checkpoint_renderer(copied, None)
    assert not any("delete" in str(error.value) for error in (caught, other))


def test_code_that_comes_with_a_checkpoint_is_not_run(copied: Path) -> None:
    start = checkpoint(copied)
    config = json.loads((copied / "config.json").read_text())
    mapping = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (copied / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": mapping}))
    (copied / "own.py").write_text(f"open({str(copied / 'ran')!r}, 'w').close()\n")
    with pytest.raises(BadInput, match="auto_map, which asks for the checkpoint's own code"):
        find_checkpoint(start)
    assert not (copied / "ran").exists()


def test_a_tokenizer_larger_than_the_weights_is_refused(copied: Path) -> None:
    larger = Renderer(load_format(TASK.model_copy(update={"max_result": 199})).tokenizer([]))
    with pytest.raises(BadInput, match=rf"weights for {RENDERER.vocabulary_size} tokens, .* {larger.vocabulary_size}"):
        load_checkpoint(copied, larger)


def test_a_checkpoint_without_the_special_tokens_is_refused(copied: Path) -> None:
    tokenizer = (copied / "tokenizer.json").read_text().replace("<eos>", "</s>")
    (copied / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(BadInput, match=r"checkpoint .*no <eos> token"):
        checkpoint_renderer(copied, None)
