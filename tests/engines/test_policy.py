"""A policy on disk: the same bytes for the same weights, and nothing but the whole of it is opened."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from stages.contracts.errors import BadInput
from stages.contracts.init_params import Checkpoint, ModelShape
from stages.contracts.render import Renderer
from stages.contracts.task_params import CountdownTask
from stages.engines.policy import (
    WEIGHTS_FILE,
    checkpoint_renderer,
    load_checkpoint,
    load_policy,
    new_policy,
    save_policy,
)
from stages.tasks.formats import load_format

SHAPE = ModelShape(hidden_size=64, intermediate_size=24, num_layers=2, num_heads=2, max_positions=64)
TASK = CountdownTask.model_validate(
    {
        "name": "countdown",
        "seed": 0,
        "max_number": 12,
        "max_result": 99,
        "heldout_bucket": 0,
        "tiers": [{"num_numbers": 3, "num_train": 1, "num_heldout": 1}],
    }
)
FORM = load_format(TASK)
RENDERER = Renderer(FORM.tokenizer([]))
TOKENS = RENDERER.encode("<bos> 3 5 7 T36 : 7 + 5 12 12 * 3 36 = # 7 + 5 12")


def policy(seed: int = 1) -> PreTrainedModel:
    return new_policy(SHAPE, RENDERER, FORM.token_values, seed)


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([TOKENS])).logits


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies") / "r0"
    save_policy(policy(), RENDERER, folder)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    for name, content in contents(saved).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_saved_loaded_and_saved_again_it_is_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    for name in ("again", "and_again"):
        save_policy(load_policy(saved), RENDERER, tmp_path / name)
        assert contents(tmp_path / name) == contents(saved)


def test_saved_and_loaded_it_is_the_same_function(saved: Path) -> None:
    assert torch.equal(logits(load_policy(saved)), logits(policy()))


def test_nothing_of_this_machine_is_saved(saved: Path) -> None:
    assert set(contents(saved)) == {WEIGHTS_FILE, "config.json", "tokenizer.json", "tokenizer_config.json"}
    config = json.loads((saved / "config.json").read_text())
    assert not {"transformers_version", "_name_or_path"} & set(config)
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["pad_token_id"], config["eos_token_id"]) == (RENDERER.pad_token, RENDERER.eos_token)


def test_tied_weights_are_stored_once_and_stay_tied(saved: Path) -> None:
    assert "lm_head.weight" not in load_file(saved / WEIGHTS_FILE)
    model = load_policy(saved)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_the_same_seed_draws_the_same_weights_whatever_was_drawn_before() -> None:
    torch.manual_seed(0)
    first = policy(1).state_dict()
    torch.manual_seed(99)
    again, other = policy(1).state_dict(), policy(2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name in first if "norm" not in name]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_near_numbers_start_out_near_and_other_words_as_drawn() -> None:
    drawn = new_policy(SHAPE, RENDERER, {}, seed=1).get_input_embeddings().weight
    added = (policy(seed=1).get_input_embeddings().weight - drawn).detach()
    at = {word: added[RENDERER.encode(word)[0]] for word in ("40", "41", "90", "T40", "+", "<<")}
    assert 0 < torch.dist(at["40"], at["41"]) < 0.75 * torch.dist(at["40"], at["90"])
    assert torch.allclose(at["T40"], at["40"], atol=1e-6)
    assert not at["+"].any()
    assert not at["<<"].any()


def test_transformers_opens_it(saved: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(saved, local_files_only=True)
    assert torch.equal(logits(model), logits(load_policy(saved)))
    tokenizer = AutoTokenizer.from_pretrained(saved, local_files_only=True)
    assert tokenizer("7 + 5 12 <<", add_special_tokens=False)["input_ids"] == RENDERER.encode("7 + 5 12 <<")


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


def checkpoint(folder: Path) -> Checkpoint:
    digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    return Checkpoint(checkpoint=str(folder), sha256=digest)


def test_a_checkpoint_brings_its_weights_and_its_tokenizer(copied: Path) -> None:
    start = checkpoint(copied)
    renderer = checkpoint_renderer(start)
    assert renderer.encode("<bos> 3 T36 << |") == RENDERER.encode("<bos> 3 T36 << |")
    assert torch.equal(logits(load_checkpoint(start, renderer)), logits(policy()))


def test_a_half_precision_checkpoint_is_trained_and_saved_in_float32(copied: Path, tmp_path: Path) -> None:
    weights = {name: tensor.bfloat16() for name, tensor in load_file(copied / WEIGHTS_FILE).items()}
    save_file(weights, copied / WEIGHTS_FILE, metadata={"format": "pt"})
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    model = load_checkpoint(checkpoint(copied), RENDERER)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    save_policy(model, RENDERER, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"] == "float32"
    assert {tensor.dtype for tensor in load_file(tmp_path / "saved" / WEIGHTS_FILE).values()} == {torch.float32}


@pytest.mark.parametrize("name", [WEIGHTS_FILE, "config.json", "tokenizer.json"])
def test_a_checkpoint_without_one_of_its_files_is_refused(name: str, copied: Path) -> None:
    start = checkpoint(copied)
    (copied / name).unlink()
    with pytest.raises(BadInput, match=rf"checkpoint .*: {name} missing"):
        checkpoint_renderer(start)


def test_other_weights_than_the_digest_says_are_refused(copied: Path) -> None:
    start = checkpoint(copied)
    save_policy(policy(seed=2), RENDERER, copied)
    found = checkpoint(copied).sha256
    with pytest.raises(BadInput, match=rf"{found}, not {start.sha256}"):
        checkpoint_renderer(start)


def test_a_checkpoint_with_a_corrupt_file_is_never_advised_to_be_deleted(copied: Path) -> None:
    start = checkpoint(copied)
    (copied / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"checkpoint .* cannot be opened .*fetch it anew") as caught:
        load_checkpoint(start, RENDERER)
    (copied / "tokenizer.json").write_text("{")
    with pytest.raises(BadInput, match=r"tokenizer\.json is corrupt") as other:
        checkpoint_renderer(start)
    assert not any("delete" in str(error.value) for error in (caught, other))


def test_code_that_comes_with_a_checkpoint_is_not_run(copied: Path) -> None:
    start = checkpoint(copied)
    config = json.loads((copied / "config.json").read_text())
    mapping = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (copied / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": mapping}))
    (copied / "own.py").write_text(f"open({str(copied / 'ran')!r}, 'w').close()\n")
    with pytest.raises(BadInput, match="cannot be opened"):
        load_checkpoint(start, RENDERER)
    assert not (copied / "ran").exists()


def test_a_tokenizer_larger_than_the_weights_is_refused(copied: Path) -> None:
    larger = Renderer(load_format(TASK.model_copy(update={"max_result": 199})).tokenizer([]))
    with pytest.raises(BadInput, match=rf"weights for {RENDERER.vocabulary_size} tokens, .* {larger.vocabulary_size}"):
        load_checkpoint(checkpoint(copied), larger)


def test_a_checkpoint_without_the_special_tokens_is_refused(copied: Path) -> None:
    tokenizer = (copied / "tokenizer.json").read_text().replace("<eos>", "</s>")
    (copied / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(BadInput, match=r"checkpoint .*no <eos> token"):
        checkpoint_renderer(checkpoint(copied))
