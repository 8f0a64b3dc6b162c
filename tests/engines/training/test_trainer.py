"""The only optimizer: what a step does, and that a resume at any step changes no bit."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fixtures.decoders import tiny_llama
from stages.contracts.params.optimizer import AdamW
from stages.engines.training.trainer import CHECKPOINT, CHECKPOINT_SECONDS, Trainer
from stages.pure.losses import token_logprobs, weighted_nll

NUM_STEPS = 5
SETTINGS = AdamW(learning_rate=3e-3, betas=(0.9, 0.95), weight_decay=0.1, max_grad_norm=1.0)


def trainer(
    seed: int = 0, settings: AdamW = SETTINGS, dtype: torch.dtype = torch.float32
) -> Trainer:
    return Trainer(tiny_llama(seed=seed, dtype=dtype), settings)


def losses(on: Trainer, step: int, num_parts: int = 2) -> Iterator[Tensor]:
    """The loss of one step's tokens, in parts; the tokens depend on the step alone."""
    tokens = torch.randint(23, (4, 9), generator=torch.Generator().manual_seed(step))
    for part in tokens.chunk(num_parts):
        logprobs = token_logprobs(
            on.model(input_ids=part[:, :-1], use_cache=False).logits, part[:, 1:]
        )
        yield weighted_nll(logprobs, torch.ones_like(logprobs)) / tokens[:, 1:].numel()


def take(on: Trainer, num_steps: int) -> None:
    while on.num_steps < num_steps:
        record = on.step(losses(on, on.num_steps), learning_rate_scale=1 / (1 + on.num_steps))
        record["seen"] = 0.1 * on.num_steps


def weights(of: Trainer) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in of.model.parameters()]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(("seconds", "is_saved"), [("-1", True), ("3600", False)])
def test_a_checkpoint_is_kept_when_its_time_has_come(
    seconds: str, is_saved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CHECKPOINT_SECONDS, seconds)
    one = trainer()
    take(one, 1)
    one.save_at_times(tmp_path)
    assert (tmp_path / CHECKPOINT).exists() == is_saved


@pytest.mark.parametrize("done", range(NUM_STEPS + 1))
def test_a_resume_changes_no_bit(done: int, tmp_path: Path) -> None:
    undisturbed = trainer()
    take(undisturbed, NUM_STEPS)
    killed = trainer()
    take(killed, done)
    if done:
        killed.save(tmp_path)
    resumed = trainer(seed=0 if done == 0 else 9)  # weights it was born with must not matter
    assert resumed.resume(tmp_path) == (done > 0)
    assert resumed.num_steps == done
    take(resumed, NUM_STEPS)
    assert same(weights(resumed), weights(undisturbed))
    assert resumed.history == undisturbed.history


def test_a_checkpoint_is_replaced_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    on = trainer()
    for step in range(1, 3):
        take(on, step)
        on.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    again = trainer(seed=9)
    assert again.resume(tmp_path)
    assert again.history == on.history


def test_a_spoilt_checkpoint_is_left_and_work_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on = trainer()
    take(on, 1)
    on.save(tmp_path)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    anew = trainer()
    assert not anew.resume(tmp_path)
    assert anew.num_steps == 0
    assert same(weights(anew), weights(trainer()))
    assert str(path) in capsys.readouterr().err
    take(anew, 1)
    anew.save(tmp_path)  # in its place
    assert trainer().resume(tmp_path)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_leaves_everything_as_it_was(factor: float) -> None:
    on, spared = trainer(), trainer()
    take(on, 2)
    take(spared, 2)
    before = weights(on)
    bad = (factor * loss for loss in losses(on, 2))
    with pytest.raises(FloatingPointError, match="at step 2"):
        on.step(bad)
    assert same(weights(on), before)
    assert on.num_steps == 2
    take(on, 3)
    take(spared, 3)
    assert same(weights(on), weights(spared))


def test_parts_of_a_loss_add_up() -> None:
    whole, parted = trainer(dtype=torch.float64), trainer(dtype=torch.float64)
    one, many = (
        whole.step(losses(whole, 0, num_parts=1)),
        parted.step(losses(parted, 0, num_parts=4)),
    )
    assert one == pytest.approx(many, abs=1e-12)
    for left, right in zip(weights(whole), weights(parted), strict=True):
        assert left.numpy() == pytest.approx(right.numpy(), abs=1e-12)


def test_the_first_step_by_hand() -> None:
    """AdamW's first step: decay by rate x weight_decay, then the rate against the gradient."""
    on = trainer(dtype=torch.float64)
    before = weights(on)
    record = on.step(losses(on, 0), learning_rate_scale=0.5)
    gradients = [parameter.grad for parameter in on.model.parameters()]
    assert (
        record["grad_norm"] > SETTINGS.max_grad_norm
    )  # the norm before clipping; after it, it is the bound
    clipped = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    assert clipped == pytest.approx(SETTINGS.max_grad_norm, rel=1e-5)
    rate = 0.5 * SETTINGS.learning_rate
    for old, new, gradient in zip(before, weights(on), gradients, strict=True):
        expected = old * (1 - rate * SETTINGS.weight_decay) - rate * gradient / (
            gradient.abs() + 1e-8
        )
        assert new.numpy() == pytest.approx(expected.numpy(), abs=1e-12)


def test_losses_fall() -> None:
    on = trainer()
    for _ in range(30):
        on.step(losses(on, 0))
    assert on.history[-1]["loss"] < on.history[0]["loss"] - 0.1
