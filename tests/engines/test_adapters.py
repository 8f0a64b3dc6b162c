"""Adapters: their folders, that they change nothing at first, go on, and are served as such."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from fixtures.checkouts import PROFILES
from stages.contracts.params.inits.model import ModelShape
from stages.contracts.params.lora import Lora
from stages.contracts.params.optimizer import AdamW
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.engines.adapters import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    BASE,
    adapt,
    is_adapter,
    read_shape,
)
from stages.engines.new_policy import new_policy
from stages.engines.policy import load_policy, save_policy
from stages.engines.training.trainer import Trainer
from stages.pure.losses import token_logprobs
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from tests.engines.serving import difference_nats, served

FORM = load_format(load(PROFILES / "tiny.yaml").task)
RENDERER = Renderer(FORM.tokenizer([]))
LORA = Lora(rank=4, alpha=8, target_modules=["v_proj", "down_proj", "q_proj"])
OPTIMIZER = AdamW(learning_rate=0.05, betas=(0.9, 0.95), weight_decay=0.0, max_grad_norm=1.0)
TOKENS = torch.randint(
    3, RENDERER.vocabulary_size, (4, 20), generator=torch.Generator().manual_seed(0)
)
FILES = [
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    BASE,
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
]


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS, use_cache=False).logits


def trained(model: PreTrainedModel, num_steps: int = 3) -> PreTrainedModel:
    trainer = Trainer(model, OPTIMIZER)
    for _ in range(num_steps):
        trainer.step(
            [-token_logprobs(model(input_ids=TOKENS[:, :-1]).logits, TOKENS[:, 1:]).mean()]
        )
    return model


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy r0, an adapter i1 of it, and i2, which is i1 trained on."""
    folder = tmp_path_factory.mktemp("policies")
    shape = ModelShape(
        hidden_size=64, intermediate_size=96, num_layers=2, num_heads=2, max_positions=64
    )
    save_policy(new_policy(shape, RENDERER, FORM.token_values, 1), RENDERER, folder / "r0")
    for parent, child in (("r0", "i1"), ("i1", "i2")):
        model = load_policy(folder / parent)
        adapt(model, LORA, 5, "recipes.a.update.lora")
        save_policy(trained(model), RENDERER, folder / child, folder / parent)
    return folder


def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained(policies: Path) -> None:
    plain, model = load_policy(policies / "r0"), load_policy(policies / "r0")
    adapt(model, LORA, 5, "key")
    assert torch.equal(logits(plain), logits(model))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained(model)
    moved = {
        name
        for name, parameter in model.named_parameters()
        if not torch.equal(parameter, before[name])
    }
    assert moved == {name for name in before if "lora_" in name}
    assert len(moved) == 2 * 2 * len(LORA.target_modules)


def test_a_new_adapter_is_drawn_from_its_seed_alone(policies: Path) -> None:
    drawn = []
    for seed in (5, 5, 6):
        torch.manual_seed(len(drawn))
        state = torch.random.get_rng_state()
        model = load_policy(policies / "r0")
        adapt(model, LORA, seed, "key")
        assert torch.equal(torch.random.get_rng_state(), state)
        drawn.append(
            next(p.detach().clone() for name, p in model.named_parameters() if "lora_A" in name)
        )
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("name", ["i1", "i2"])
def test_a_folder_holds_the_change_and_its_base_and_no_optimizer(name: str, policies: Path) -> None:
    assert sorted(path.name for path in (policies / name).iterdir()) == FILES
    base, first = (
        sorted(p.relative_to(f) for p in f.rglob("*"))
        for f in (policies / name / BASE, policies / "r0")
    )
    assert base == first
    assert all((policies / name / BASE / path).samefile(policies / "r0" / path) for path in first)
    with safe_open(policies / name / ADAPTER_FILE, framework="pt") as file:
        names = set(file.keys())
    assert len(names) == 2 * 2 * len(LORA.target_modules)
    assert all(
        tensor.startswith("base_model.model.model.layers.")
        and tensor.endswith((".lora_A.weight", ".lora_B.weight"))
        for tensor in names
    )
    assert read_shape(policies / name).target_modules == ["down_proj", "q_proj", "v_proj"]
    assert (
        json.loads((policies / name / ADAPTER_CONFIG_FILE).read_text())["base_model_name_or_path"]
        == BASE
    )


def test_an_adapter_comes_back_as_it_was_and_goes_on(policies: Path, tmp_path: Path) -> None:
    first, second = (logits(load_policy(policies / name)) for name in ("i1", "i2"))
    assert (first - logits(load_policy(policies / "r0"))).abs().max() > 0.1
    model = load_policy(policies / "i1")
    adapt(model, LORA, 99, "key")  # no new one, whatever the seed
    assert torch.equal(logits(model), first)
    save_policy(trained(model), RENDERER, tmp_path / "again", policies / "i1")
    assert (tmp_path / "again" / ADAPTER_FILE).read_bytes() == (
        policies / "i2" / ADAPTER_FILE
    ).read_bytes()
    assert torch.equal(logits(load_policy(tmp_path / "again")), second)


def test_peft_itself_reads_the_folder(policies: Path) -> None:
    from peft import PeftModel

    model = PeftModel.from_pretrained(load_policy(policies / "i1" / BASE), str(policies / "i1"))
    assert torch.equal(logits(model), logits(load_policy(policies / "i1")))


@pytest.mark.parametrize(
    ("start", "lora", "reason"),
    [
        (
            "i1",
            None,
            "the_key: None, but the policy is an adapter, and is trained on in its own shape"
            ": .*'rank': 4",
        ),
        (
            "i1",
            LORA.model_copy(update={"rank": 8}),
            "the_key: .*'rank': 8.*, but the policy is an adapter",
        ),
        (
            "r0",
            LORA.model_copy(update={"target_modules": ["q"]}),
            r"the_key.target_modules: .* no module named q \(1",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    start: str, lora: Lora | None, reason: str, policies: Path
) -> None:
    with pytest.raises(BadInput, match=reason):
        adapt(load_policy(policies / start), lora, 1, "the_key")


@pytest.mark.parametrize("harm", ["cut", "renamed", "missing"])
def test_a_corrupt_adapter_is_refused(harm: str, policies: Path, tmp_path: Path) -> None:
    save_policy(load_policy(policies / "i1"), RENDERER, tmp_path / "p", policies / "i1")
    path = tmp_path / "p" / ADAPTER_FILE
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(
            content[:99] if harm == "cut" else content.replace(b"layers.0", b"layers.7")
        )
    with pytest.raises(BadInput, match=ADAPTER_FILE if harm == "renamed" else "corrupt"):
        load_policy(tmp_path / "p")


def test_a_full_policy_holds_weights_and_no_optimizer(policies: Path, tmp_path: Path) -> None:
    model = trained(load_policy(policies / "r0"))
    save_policy(model, RENDERER, tmp_path / "p", policies / "r0")
    assert not is_adapter(tmp_path / "p")
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    ]
    with safe_open(tmp_path / "p" / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == {name for name, _ in model.named_parameters()}


def test_vllm_serves_an_adapter_as_the_trainer_sees_it(policies: Path, tmp_path: Path) -> None:
    prompts = TOKENS[:, :6].tolist()
    [sampled] = served([(policies / "i2", prompts)], 12, tmp_path)
    assert difference_nats(load_policy(policies / "i2"), prompts, sampled) < 1e-5
    assert difference_nats(load_policy(policies / "r0"), prompts, sampled) > 0.1
