"""Precision and what is kept for the way back: what they change and what they must not."""

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from fixtures.checkouts import ROOT
from fixtures.decoders import tiny_llama
from stages.contracts.params.compute.training import Training
from stages.contracts.params.optimizer import AdamW
from stages.contracts.params.recipes.update import ImportanceCorrection
from stages.contracts.params.whole import load
from stages.engines.computing import Precision, at_least_float32, autocast
from stages.engines.training.example import Example
from stages.engines.training.policy_loss import PolicyLoss
from stages.engines.training.trainer import Trainer, set_up
from stages.pure.losses import token_logprobs
from stages.running.errors import BadInput

TOKENS = torch.randint(23, (3, 17), generator=torch.Generator().manual_seed(1))
OPTIMIZER = AdamW(learning_rate=1e-5, betas=(0.9, 0.95), weight_decay=0.1, max_grad_norm=1.0)
UPDATE = load(ROOT / "params.yaml").recipes["outcome"].update


def training(precision: Precision = "float32", gradient_checkpointing: bool = False) -> Training:
    return Training(
        precision=precision, gradient_checkpointing=gradient_checkpointing, num_processes=1
    )


def loss_of(model: LlamaForCausalLM, precision: Precision) -> torch.Tensor:
    with autocast(model, precision):
        logits = model(input_ids=TOKENS[:, :-1], use_cache=False).logits
    return -token_logprobs(at_least_float32(logits), TOKENS[:, 1:]).mean()


def gradients(model: LlamaForCausalLM, precision: Precision = "float32") -> list[np.ndarray]:
    loss_of(model, precision).backward()
    return [parameter.grad.numpy() for parameter in model.parameters()]


def test_activations_computed_anew_give_the_same_gradients() -> None:
    kept, anew = (tiny_llama(dtype=torch.float64) for _ in range(2))
    kept.eval(), anew.eval()  # as a loaded policy is
    set_up(anew, training(gradient_checkpointing=True))
    passes = []
    for module in anew.modules():
        if isinstance(module, LlamaDecoderLayer):
            module.mlp.register_forward_pre_hook(lambda *_: passes.append(0))
    for one, other in zip(gradients(kept), gradients(anew), strict=True):
        assert one == pytest.approx(other, abs=1e-14)
    assert len(passes) == 2 * anew.config.num_hidden_layers


def test_nothing_drops_out_where_activations_are_computed_anew() -> None:
    model = tiny_llama()
    model.eval()
    for module in model.modules():
        if isinstance(module, LlamaDecoderLayer):
            module.self_attn.attention_dropout = 0.5
    set_up(model, training(gradient_checkpointing=True))
    assert torch.equal(loss_of(model, "float32"), loss_of(model, "float32"))


def test_an_architecture_that_cannot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_llama()
    monkeypatch.setattr(LlamaForCausalLM, "supports_gradient_checkpointing", False)
    with pytest.raises(BadInput, match="gradient_checkpointing: LlamaForCausalLM cannot"):
        set_up(model, training(gradient_checkpointing=True))


def test_bfloat16_rounds_the_passes_and_nothing_that_is_summed_or_kept() -> None:
    exact, rounded = tiny_llama(), tiny_llama()
    set_up(rounded, training("bfloat16"))
    assert rounded.config.dtype == torch.bfloat16
    trainer = Trainer(rounded, OPTIMIZER)
    loss = loss_of(rounded, "bfloat16")
    assert loss.dtype == torch.float32
    assert 0 < abs(loss.item() - loss_of(exact, "float32").item()) < 0.05
    before = [parameter.detach().clone() for parameter in rounded.parameters()]
    trainer.step([loss])
    for one, other in zip(gradients(exact), rounded.parameters(), strict=True):
        assert other.dtype == other.grad.dtype == torch.float32
        assert all(
            value.dtype == torch.float32 for value in trainer._optimizer.state[other].values()
        )
        cosine = (
            np.sum(one * other.grad.numpy())
            / np.linalg.norm(one)
            / np.linalg.norm(other.grad.numpy())
        )
        assert cosine > 0.98
    for old, new in zip(before, rounded.parameters(), strict=True):
        assert (old != new).float().mean() > 0.9, "bfloat16 weights would lose so small a step"


def test_truncated_importance_accounts_for_what_bfloat16_rounds() -> None:
    """Sampled in float32, trained in bfloat16: weights are the two passes', no first step clips."""
    model = tiny_llama()
    completion = TOKENS[:, 4:]
    with torch.no_grad():
        logits = model(input_ids=TOKENS[:, :-1], use_cache=False).logits
    sampled = token_logprobs(logits, TOKENS[:, 1:])[:, 3:].numpy()
    everywhere = np.ones(completion.shape[1], dtype=bool)
    examples = [
        Example(
            row[:4].numpy(),
            row[4:].numpy(),
            logprobs,
            np.ones(len(logprobs)),
            everywhere,
            everywhere,
        )
        for row, logprobs in zip(TOKENS, sampled, strict=True)
    ]
    settings = UPDATE.model_copy(
        update={"importance_correction": ImportanceCorrection(kind="truncate", cap=1.001)}
    )
    watched: dict[Precision, dict[str, float]] = {"float32": {}, "bfloat16": {}}
    for precision, figures in watched.items():
        loss = PolicyLoss(settings, 1.0, 12, precision, None)
        list(loss.minibatch(model, loss.prepare(model, examples), figures, lambda _: None))
    exact, rounded = watched["float32"], watched["bfloat16"]
    assert exact["mean_logprob_difference_nats"] < 1e-6
    assert exact["importance_clipped_frac"] == 0
    assert (
        1e-4
        < rounded["mean_logprob_difference_nats"]
        < rounded["max_logprob_difference_nats"]
        < 0.3
    )
    assert 0.1 < rounded["importance_clipped_frac"] < 0.9
    assert rounded["importance_ess_frac"] < 1
    assert (rounded["mean_ratio"], rounded["clip_frac"]) == (1, 0)
