"""Token losses against loops and gradients written out by hand, in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stages.pure.losses import entropy, ppo_clip, token_logprobs, weighted_nll

CLIP_LOW, CLIP_HIGH = 0.2, 0.28
SEEDS = st.integers(0, 10_000)


def draw(seed: int, rows: int = 3, width: int = 7, vocabulary: int = 6) -> dict[str, Tensor]:
    """A batch whose ratios fall on either side of both bounds."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, width, vocabulary, generator=generator, dtype=torch.float64)
    targets = torch.randint(vocabulary, (rows, width), generator=generator)
    noise = 0.4 * torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return {
        "logits": logits,
        "targets": targets,
        "sampler_logprobs": token_logprobs(logits, targets) + noise,
        "advantages": torch.randn(rows, width, generator=generator, dtype=torch.float64),
        "mask": torch.rand(rows, width, generator=generator) < 0.8,
    }


def by_loops(batch: dict[str, Tensor], temperature: float) -> tuple[float, np.ndarray, int]:
    """PPO's loss, its gradient over the logits, and the number of clipped tokens, one token at a time."""
    logits, targets, sampler, advantages, mask = (batch[name].numpy() for name in batch)
    loss, num_clipped = 0.0, 0
    gradient = np.zeros_like(logits)
    for row, column in zip(*np.nonzero(mask), strict=True):
        odds = np.exp(logits[row, column] / temperature)
        probabilities = odds / odds.sum()
        target, advantage = targets[row, column], advantages[row, column]
        ratio = math.exp(math.log(probabilities[target]) - sampler[row, column])
        is_clipped = ratio > 1 + CLIP_HIGH if advantage > 0 else ratio < 1 - CLIP_LOW
        num_clipped += is_clipped
        if is_clipped:
            loss -= (1 + CLIP_HIGH if advantage > 0 else 1 - CLIP_LOW) * advantage
            continue
        loss -= ratio * advantage
        one_hot = np.eye(len(odds))[target]
        gradient[row, column] = -ratio * advantage * (one_hot - probabilities) / temperature
    return loss, gradient, num_clipped


def test_token_logprobs_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    assert token_logprobs(logits, torch.tensor([1])).item() == pytest.approx(math.log(0.75))
    warm = token_logprobs(logits, torch.tensor([1]), temperature=2.0).item()
    assert warm == pytest.approx(math.log(math.sqrt(3) / (1 + math.sqrt(3))))


@given(SEEDS, st.floats(0.2, 5))
def test_token_logprobs_are_a_distribution(seed: int, temperature: float) -> None:
    logits = draw(seed)["logits"]
    every = torch.stack(
        [token_logprobs(logits, torch.full(logits.shape[:-1], t), temperature) for t in range(logits.shape[-1])]
    )
    assert every.exp().sum(0).numpy() == pytest.approx(np.ones(logits.shape[:-1]), abs=1e-12)
    moved = token_logprobs(logits + 7, torch.zeros(logits.shape[:-1], dtype=torch.long), temperature)
    assert moved.numpy() == pytest.approx(every[0].numpy(), abs=1e-12)


def test_the_ratio_is_one_at_the_temperature_drawn_at_and_at_no_other() -> None:
    batch = draw(0)
    logits, targets, mask = batch["logits"], batch["targets"], torch.ones_like(batch["mask"])
    sampled = token_logprobs(logits, targets, 0.7)
    ratios = [
        ppo_clip(token_logprobs(logits, targets, t), sampled, batch["advantages"], mask, 0.2, 0.28).ratio / mask.sum()
        for t in (0.7, 1.0)
    ]
    assert ratios[0].item() == pytest.approx(1, abs=1e-12)
    assert abs(ratios[1].item() - 1) > 0.01


def test_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]], dtype=torch.float64))
    assert entropy(logits).tolist() == pytest.approx([math.log(4), 1.75 * math.log(2)])
    assert entropy(torch.tensor([[1000.0, 0.0]])).item() == 0


@given(SEEDS)
def test_entropy_is_between_zero_and_that_of_chance(seed: int) -> None:
    found = entropy(5 * draw(seed)["logits"])
    assert (found >= 0).all()
    assert (found <= math.log(6) + 1e-12).all()


def test_weighted_nll_by_hand() -> None:
    logprobs = torch.tensor([[-1.0, -2.0], [-4.0, -8.0]])
    weights = torch.tensor([[0.5, 0.0], [2.0, 1.0]])
    assert weighted_nll(logprobs, weights).item() == 16.5


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "is_clipped", "slope"),
    [
        (1.5, 1.0, 1.28, True, 0.0),
        (1.5, -1.0, -1.5, False, -1.5),
        (0.5, 1.0, 0.5, False, 0.5),
        (0.5, -1.0, -0.8, True, 0.0),
        (1.1, 2.0, 2.2, False, 2.2),
        (1.0, -3.0, -3.0, False, -3.0),
        (1.5, 0.0, 0.0, False, 0.0),
    ],
)
def test_ppo_clip_of_one_token(
    ratio: float, advantage: float, objective: float, is_clipped: bool, slope: float
) -> None:
    trainer = torch.tensor([math.log(ratio)], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, dtype=torch.float64)
    terms = ppo_clip(trainer, zero, zero + advantage, torch.tensor([True]), CLIP_LOW, CLIP_HIGH)
    terms.loss.backward()
    assert terms.loss.item() == pytest.approx(-objective, abs=1e-12)
    assert terms.clipped.item() == is_clipped
    assert trainer.grad.item() == pytest.approx(-slope, abs=1e-12)
    assert terms.ratio.item() == pytest.approx(ratio)
    assert terms.kl_nats.item() == pytest.approx(ratio - 1 - math.log(ratio))


@given(SEEDS, st.sampled_from([0.5, 1.0, 1.3]))
def test_ppo_clip_equals_loops(seed: int, temperature: float) -> None:
    batch = draw(seed)
    logits = batch["logits"].requires_grad_()
    logprobs = token_logprobs(logits, batch["targets"], temperature)
    terms = ppo_clip(
        logprobs, batch["sampler_logprobs"], batch["advantages"], batch["mask"], clip_low=CLIP_LOW, clip_high=CLIP_HIGH
    )
    terms.loss.backward()
    loss, gradient, num_clipped = by_loops({**batch, "logits": logits.detach()}, temperature)
    assert terms.loss.item() == pytest.approx(loss, abs=1e-10)
    assert logits.grad.numpy() == pytest.approx(gradient, abs=1e-10)
    assert terms.clipped.item() == num_clipped


def test_the_batches_drawn_clip_on_both_sides() -> None:
    batch = draw(0, rows=200)
    logprobs = token_logprobs(batch["logits"], batch["targets"])
    ratio = (logprobs - batch["sampler_logprobs"]).exp()[batch["mask"]]
    assert (ratio > 1 + CLIP_HIGH).any()
    assert (ratio < 1 - CLIP_LOW).any()


def test_at_the_sampling_policy_the_gradient_is_the_plain_policy_gradient() -> None:
    batch = draw(1)
    logprobs = token_logprobs(batch["logits"], batch["targets"]).requires_grad_()
    terms = ppo_clip(logprobs, logprobs.detach(), batch["advantages"], batch["mask"], CLIP_LOW, CLIP_HIGH)
    terms.loss.backward()
    assert logprobs.grad.numpy() == pytest.approx((-batch["advantages"] * batch["mask"]).numpy(), abs=1e-12)
    assert terms.clipped.item() == 0
    assert terms.kl_nats.item() == 0


@given(SEEDS)
def test_masked_tokens_weigh_nothing_whatever_they_hold(seed: int) -> None:
    batch = draw(seed)
    arguments = batch["advantages"], batch["mask"], CLIP_LOW, CLIP_HIGH
    logprobs = token_logprobs(batch["logits"], batch["targets"])
    wild = torch.where(batch["mask"], logprobs, torch.full_like(logprobs, -1e4)).requires_grad_()
    terms, expected = (ppo_clip(values, batch["sampler_logprobs"], *arguments) for values in (wild, logprobs))
    terms.loss.backward()
    assert [term.item() for term in terms] == [term.item() for term in expected]
    assert (wild.grad[~batch["mask"]] == 0).all()


@given(SEEDS, st.integers(1, 5), st.randoms())
def test_any_split_padding_and_order_add_up_to_the_same(seed: int, size: int, random: object) -> None:
    batch = draw(seed, rows=6)
    order = sorted(range(6), key=lambda _: random.random())
    values = token_logprobs(batch["logits"], batch["targets"]), batch["sampler_logprobs"], batch["advantages"]
    whole = ppo_clip(*values, batch["mask"], CLIP_LOW, CLIP_HIGH)
    sums = np.zeros(4)
    for start in range(0, 6, size):
        rows = order[start : start + size]
        padded = [torch.nn.functional.pad(value[rows], (0, start), value=-3.0) for value in values]
        mask = torch.nn.functional.pad(batch["mask"][rows], (0, start))
        sums += [term.item() for term in ppo_clip(*padded, mask, CLIP_LOW, CLIP_HIGH)]
    assert sums == pytest.approx([term.item() for term in whole], abs=1e-12)


def test_the_kl_watched_is_that_of_sampler_from_trainer() -> None:
    sampler, trainer = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    expected = 0.0
    for q, p in zip(sampler, trainer, strict=True):
        one = [torch.tensor([math.log(x)], dtype=torch.float64) for x in (p, q)]
        expected += q * ppo_clip(*one, torch.zeros(1), torch.tensor([True]), CLIP_LOW, CLIP_HIGH).kl_nats.item()
    assert expected == pytest.approx(float((sampler * np.log(sampler / trainer)).sum()), abs=1e-12)
