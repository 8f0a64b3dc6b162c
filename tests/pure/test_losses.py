"""Token losses against loops and gradients written out by hand, in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stages.contracts.params.recipes.update import LOSSES
from stages.pure.losses import (
    Surrogate,
    aggregation,
    clipped,
    entropy,
    importance,
    k3,
    masked_difference,
    reference_kl,
    sequence_mean,
    surrogate,
    token_logprobs,
    weighted_nll,
)

CLIP_LOW, CLIP_HIGH = 0.2, 0.28
SEEDS = st.integers(0, 10_000)
KINDS = (*LOSSES, "likelihood")


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


def terms_of(kind: str, logprobs: Tensor, batch: dict[str, Tensor]) -> Surrogate:
    """A batch's surrogate, each row a sequence."""
    sequence = torch.arange(len(logprobs)).unsqueeze(1).expand(logprobs.shape)
    values = batch["sampler_logprobs"], batch["advantages"], batch["mask"]
    objective = LOSSES[kind].surrogate if kind in LOSSES else kind
    return surrogate(objective, logprobs, *values, sequence, CLIP_LOW, CLIP_HIGH)


def by_loops(batch: dict[str, Tensor], temperature: float) -> tuple[float, np.ndarray, int]:
    """PPO's objective, its gradient over the logits, and clipped tokens, one token at a time."""
    logits, targets, sampler, advantages, mask = (batch[name].numpy() for name in batch)
    objective, num_clipped = 0.0, 0
    gradient = np.zeros_like(logits)
    for row, column in zip(*np.nonzero(mask), strict=True):
        odds = np.exp(logits[row, column] / temperature)
        probabilities = odds / odds.sum()
        target, advantage = targets[row, column], advantages[row, column]
        ratio = math.exp(math.log(probabilities[target]) - sampler[row, column])
        is_clipped = ratio > 1 + CLIP_HIGH if advantage > 0 else ratio < 1 - CLIP_LOW
        num_clipped += is_clipped
        if is_clipped:
            objective += (1 + CLIP_HIGH if advantage > 0 else 1 - CLIP_LOW) * advantage
            continue
        objective += ratio * advantage
        one_hot = np.eye(len(odds))[target]
        gradient[row, column] = ratio * advantage * (one_hot - probabilities) / temperature
    return objective, gradient, num_clipped


def test_token_logprobs_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    assert token_logprobs(logits, torch.tensor([1])).item() == pytest.approx(math.log(0.75))
    warm = token_logprobs(logits, torch.tensor([1]), temperature=2.0).item()
    assert warm == pytest.approx(math.log(math.sqrt(3) / (1 + math.sqrt(3))))


@given(SEEDS, st.floats(0.2, 5))
def test_token_logprobs_are_a_distribution(seed: int, temperature: float) -> None:
    logits = draw(seed)["logits"]
    every = torch.stack(
        [
            token_logprobs(logits, torch.full(logits.shape[:-1], t), temperature)
            for t in range(logits.shape[-1])
        ]
    )
    assert every.exp().sum(0).numpy() == pytest.approx(np.ones(logits.shape[:-1]), abs=1e-12)
    moved = token_logprobs(
        logits + 7, torch.zeros(logits.shape[:-1], dtype=torch.long), temperature
    )
    assert moved.numpy() == pytest.approx(every[0].numpy(), abs=1e-12)


def test_the_ratio_is_one_at_the_temperature_drawn_at_and_at_no_other() -> None:
    batch = draw(0)
    drawn_at = {**batch, "sampler_logprobs": token_logprobs(batch["logits"], batch["targets"], 0.7)}
    drawn_at["mask"] = torch.ones_like(batch["mask"])
    ratios = [
        terms_of("dapo", token_logprobs(batch["logits"], batch["targets"], t), drawn_at)
        .ratio.mean()
        .item()
        for t in (0.7, 1.0)
    ]
    assert ratios[0] == pytest.approx(1, abs=1e-12)
    assert abs(ratios[1] - 1) > 0.01


def test_entropy_by_hand() -> None:
    logits = torch.log(
        torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]], dtype=torch.float64)
    )
    assert entropy(logits).tolist() == pytest.approx([math.log(4), 1.75 * math.log(2)])
    assert entropy(torch.tensor([[1000.0, 0.0]])).item() == 0


@given(SEEDS)
def test_entropy_is_between_zero_and_that_of_chance(seed: int) -> None:
    values = entropy(5 * draw(seed)["logits"])
    assert (values >= 0).all()
    assert (values <= math.log(6) + 1e-12).all()


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
def test_the_clip_of_one_token(
    ratio: float, advantage: float, objective: float, is_clipped: bool, slope: float
) -> None:
    for kind in ("grpo", "dr_grpo", "dapo", "gspo"):
        trainer = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
        zero = torch.zeros(1, 1, dtype=torch.float64)
        one = {
            "sampler_logprobs": zero,
            "advantages": zero + advantage,
            "mask": torch.tensor([[True]]),
        }
        terms = terms_of(kind, trainer, one)
        terms.objective.sum().backward()
        assert terms.objective.item() == pytest.approx(objective, abs=1e-12)
        assert terms.is_clipped.item() == is_clipped
        assert trainer.grad.item() == pytest.approx(slope, abs=1e-12)
        assert terms.ratio.item() == pytest.approx(ratio)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize(("dtype", "log_ratio"), [(torch.float32, 89.0), (torch.float64, 710.0)])
@pytest.mark.parametrize("advantage", [0.0, 2.0])
def test_a_ratio_beyond_the_precision_is_clipped_as_any_other(
    kind: str, dtype: torch.dtype, log_ratio: float, advantage: float
) -> None:
    """Infinity times 0 would be NaN: in value at advantage 0, in the gradient if clipped."""
    trainer = torch.tensor([[log_ratio, 0.0]], dtype=dtype, requires_grad=True)
    batch = {
        "sampler_logprobs": torch.zeros(1, 2, dtype=dtype),
        "advantages": torch.tensor([[advantage, 1.0]], dtype=dtype),
        "mask": torch.tensor([[True, True]]),
    }
    terms = terms_of(kind, trainer, batch)
    terms.objective.sum().backward()
    assert terms.objective.isfinite().all()
    assert trainer.grad.isfinite().all()
    if LOSSES[kind].surrogate == "clipped":
        bound = 1 + CLIP_HIGH
        assert terms.objective.tolist()[0] == pytest.approx([bound * advantage, 1.0])
        assert trainer.grad.tolist() == [[0.0, 1.0]]
        assert terms.is_clipped.tolist() == [[advantage > 0, False]]


def test_of_a_negative_advantage_such_a_ratio_stays_what_it_is() -> None:
    trainer = torch.tensor([[89.0]], requires_grad=True)
    batch = {
        "sampler_logprobs": torch.zeros(1, 1),
        "advantages": torch.tensor([[-1.0]]),
        "mask": torch.tensor([[True]]),
    }
    assert terms_of("dapo", trainer, batch).objective.item() == -math.inf


@given(SEEDS)
def test_no_ordinary_ratio_is_touched(seed: int) -> None:
    """To the bit: against the minimum written plainly."""
    generator = torch.Generator().manual_seed(seed)
    plain = (10 * torch.randn(40, generator=generator)).requires_grad_()
    ours = plain.detach().clone().requires_grad_()
    advantages = torch.randn(40, generator=generator)
    ratio = plain.exp()
    bounded = ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
    expected = torch.minimum(ratio * advantages, bounded * advantages)
    found = clipped(ours, advantages, CLIP_LOW, CLIP_HIGH)
    expected.sum().backward()
    found.objective.sum().backward()
    assert torch.equal(found.objective, expected)
    assert torch.equal(ours.grad, plain.grad)
    assert torch.equal(found.ratio, ratio.detach())


@pytest.mark.parametrize(
    ("ratio", "advantage", "weight"),
    [(1.5, 1.0, 1.28), (1.5, -1.0, 1.28), (0.5, 1.0, 0.8), (0.5, -2.0, 0.8), (1.1, 2.0, 1.1)],
)
def test_cispo_bounds_a_tokens_weight_and_drops_no_gradient(
    ratio: float, advantage: float, weight: float
) -> None:
    trainer = torch.tensor([[-2.0]], dtype=torch.float64, requires_grad=True)
    one = {
        "sampler_logprobs": trainer.detach() - math.log(ratio),
        "advantages": torch.full((1, 1), advantage, dtype=torch.float64),
        "mask": torch.tensor([[True]]),
    }
    terms = terms_of("cispo", trainer, one)
    terms.objective.sum().backward()
    assert terms.objective.item() == pytest.approx(weight * advantage * -2)
    assert trainer.grad.item() == pytest.approx(weight * advantage)
    assert terms.is_clipped.item() == (weight != ratio)


def test_gspo_by_hand() -> None:
    """Log ratios .3 and .1 share the ratio e^.2 = 1.221; −.5 and −.1 share e^−.3 = .741."""
    trainer = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    batch = {
        "sampler_logprobs": torch.tensor([[-0.3, -0.1], [0.5, 0.1]], dtype=torch.float64),
        "advantages": torch.tensor([[1.0, -2.0], [1.0, -2.0]], dtype=torch.float64),
        "mask": torch.ones(2, 2, dtype=torch.bool),
    }
    terms = terms_of("gspo", trainer, batch)
    terms.objective.sum().backward()
    up, down = math.exp(0.2), math.exp(-0.3)
    assert terms.objective.detach().numpy() == pytest.approx(
        np.array([[up, -2 * up], [down, -1.6]])
    )
    assert terms.is_clipped.tolist() == [[False, False], [False, True]]
    assert trainer.grad.numpy() == pytest.approx(np.array([[up, -2 * up], [down, 0]]))


@given(SEEDS)
def test_gspo_token_by_token_is_plain_gspo_where_a_sequence_has_one_advantage(seed: int) -> None:
    batch = draw(seed)
    batch["advantages"] = batch["advantages"][:, :1].expand(batch["advantages"].shape)
    gradients, values = [], []
    counts = batch["mask"].sum(1).clamp(min=1)
    for is_plain in (False, True):
        logprobs = token_logprobs(batch["logits"], batch["targets"]).requires_grad_()
        if is_plain:
            drift = ((logprobs - batch["sampler_logprobs"]) * batch["mask"]).sum(1)
            ratio, advantage = (drift / counts).exp(), batch["advantages"][:, 0]
            of_sequence = torch.minimum(
                ratio * advantage, ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH) * advantage
            )
            value = (of_sequence * batch["mask"].any(1)).sum()
        else:
            value = (terms_of("gspo", logprobs, batch).objective / counts.unsqueeze(1)).sum()
        value.backward()
        values.append(value.item())
        gradients.append(logprobs.grad.numpy())
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    assert gradients[0] == pytest.approx(gradients[1], abs=1e-12)


def test_sequence_mean_by_hand() -> None:
    values = torch.tensor([[1.0, 2.0, 30.0], [4.0, math.nan, 6.0]])
    mask = torch.tensor([[True, True, True], [True, False, True]])
    sequence = torch.tensor(
        [[0, 0, 2], [0, 1, 2]]
    )  # two sequences over two rows, and one without a token
    third = 7 / 3
    assert sequence_mean(values, mask, sequence)[mask].tolist() == pytest.approx(
        [third, third, 18, third, 18]
    )
    assert sequence_mean(values, mask, sequence)[1, 1].item() == 0
    assert sequence_mean(values[:0], mask[:0], sequence[:0]).shape == (0, 3)


@given(SEEDS, st.sampled_from([0.5, 1.0, 1.3]))
def test_the_clipped_surrogate_equals_loops(seed: int, temperature: float) -> None:
    batch = draw(seed)
    logits = batch["logits"].requires_grad_()
    terms = terms_of("dapo", token_logprobs(logits, batch["targets"], temperature), batch)
    terms.objective.sum().backward()
    objective, gradient, num_clipped = by_loops({**batch, "logits": logits.detach()}, temperature)
    assert terms.objective.sum().item() == pytest.approx(objective, abs=1e-10)
    assert logits.grad.numpy() == pytest.approx(gradient, abs=1e-10)
    assert terms.is_clipped.sum().item() == num_clipped


def test_the_batches_drawn_clip_on_both_sides() -> None:
    batch = draw(0, rows=200)
    logprobs = token_logprobs(batch["logits"], batch["targets"])
    ratio = (logprobs - batch["sampler_logprobs"]).exp()[batch["mask"]]
    assert (ratio > 1 + CLIP_HIGH).any()
    assert (ratio < 1 - CLIP_LOW).any()


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_sampling_policy_the_gradient_is_the_plain_policy_gradient(kind: str) -> None:
    batch = draw(1)
    logprobs = token_logprobs(batch["logits"], batch["targets"]).requires_grad_()
    terms = terms_of(kind, logprobs, {**batch, "sampler_logprobs": logprobs.detach()})
    terms.objective.sum().backward()
    assert logprobs.grad.numpy() == pytest.approx(
        (batch["advantages"] * batch["mask"]).numpy(), abs=1e-12
    )
    assert not terms.is_clipped.any()
    assert terms.ratio[batch["mask"]].numpy() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wild", [-1e4, math.nan, -math.inf])
def test_masked_tokens_weigh_nothing_whatever_they_hold(kind: str, wild: float) -> None:
    batch = draw(3)
    logprobs = token_logprobs(batch["logits"], batch["targets"])
    changed = {
        **batch,
        **{name: torch.where(batch["mask"], batch[name], wild) for name in list(batch)[2:4]},
    }
    trainer = torch.where(batch["mask"], logprobs, wild).requires_grad_()
    terms, expected = terms_of(kind, trainer, changed), terms_of(kind, logprobs, batch)
    terms.objective.sum().backward()
    for one, other in zip(terms, expected, strict=True):
        assert torch.equal(one.detach(), other)
        assert (one[~batch["mask"]] == 0).all()
    assert (trainer.grad[~batch["mask"]] == 0).all()


def test_aggregation_by_hand() -> None:
    """Sequences of 4, 1 and 0 target tokens, a budget of 10: what a token counts for."""
    for kind, expected in {
        "grpo": [1 / 12, 1 / 3],
        "gspo": [1 / 12, 1 / 3],
        "dapo": [1 / 5, 1 / 5],
        "cispo": [1 / 5, 1 / 5],
        "dr_grpo": [1 / 30, 1 / 30],
    }.items():
        how = aggregation(LOSSES[kind].average, np.array([4, 1, 0]), budget_tokens=10)
        assert (how.weights / how.denominator)[:2] == pytest.approx(expected), kind
        assert np.isfinite(how.weights).all()
        assert (
            aggregation(LOSSES[kind].average, np.array([], dtype=int), budget_tokens=10).denominator
            == 1
        )
        assert aggregation(LOSSES[kind].average, np.array([0]), budget_tokens=10).denominator >= 1


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    st.sampled_from(["grpo", "gspo", "dapo", "cispo"]),
)
def test_the_weights_of_a_mean_sum_to_the_share_of_sequences_with_tokens(
    counts: list[int], kind: str
) -> None:
    num_targets = np.array(counts)
    how = aggregation(LOSSES[kind].average, num_targets, budget_tokens=10)
    expected = np.mean(num_targets > 0) if kind in ("grpo", "gspo") else 1
    assert (how.weights * num_targets).sum() / how.denominator == pytest.approx(expected)


def test_k3_by_hand() -> None:
    logs = torch.tensor([0.0, math.log(2), -math.log(2), -math.inf], dtype=torch.float64)
    assert k3(logs).tolist() == pytest.approx([0, 1 - math.log(2), math.log(2) - 0.5, math.inf])


@given(SEEDS)
def test_k3_is_never_negative_and_its_mean_over_draws_is_the_kl(seed: int) -> None:
    drawn_from, other = (np.random.default_rng(seed).dirichlet(np.ones(4), size=2) + 0.01) / 1.04
    log_ratio = torch.from_numpy(np.log(other / drawn_from))
    kl = float((drawn_from * np.log(drawn_from / other)).sum())
    assert (k3(log_ratio) >= 0).all()
    assert float((torch.from_numpy(drawn_from) * k3(log_ratio)).sum()) == pytest.approx(
        kl, abs=1e-12
    )


def test_reference_kl_by_hand() -> None:
    """Probabilities .5, .25, .125 under trainer, behaviour, reference: 2 · (1/4 − 1 + log 4)."""
    trainer, behaviour, reference = (
        torch.tensor([math.log(p)] * 2, dtype=torch.float64) for p in (0.5, 0.25, 0.125)
    )
    kl = reference_kl(trainer, behaviour, reference, torch.tensor([True, False]))
    assert kl.tolist() == pytest.approx([2 * (math.log(4) - 0.75), 0])
    at_the_reference = reference_kl(trainer, behaviour, trainer, torch.tensor([True, True]))
    assert at_the_reference.tolist() == [0, 0]


@pytest.mark.parametrize("is_on_policy", [True, False])
def test_over_all_draws_the_reference_kls_value_and_gradient_are_the_kls_own(
    is_on_policy: bool,
) -> None:
    """The k3 alone has another gradient: the other KL's."""
    generator = torch.Generator().manual_seed(4)
    tables = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    trainer_logits, reference = tables[0].requires_grad_(), tables[1].log_softmax(-1).detach()
    trainer = trainer_logits.log_softmax(-1)
    behaviour = trainer.detach() if is_on_policy else tables[2].log_softmax(-1).detach()
    everywhere = torch.ones(5, dtype=torch.bool)

    def gradient(value: Tensor) -> np.ndarray:
        return torch.autograd.grad(value, trainer_logits, retain_graph=True)[0].numpy()

    exact = (trainer.exp() * (trainer - reference)).sum()
    estimate = (behaviour.exp() * reference_kl(trainer, behaviour, reference, everywhere)).sum()
    assert estimate.item() == pytest.approx(exact.item(), abs=1e-12)
    assert gradient(estimate) == pytest.approx(gradient(exact), abs=1e-12)
    alone = gradient((behaviour.exp() * k3(reference - trainer)).sum())
    assert np.abs(alone - gradient(exact)).max() > 0.01
    if is_on_policy:
        assert alone == pytest.approx(
            gradient((reference.exp() * (reference - trainer)).sum()), abs=1e-12
        )


def test_masked_difference_by_hand() -> None:
    left = torch.tensor([1.0, math.nan, -math.inf], requires_grad=True)
    difference = masked_difference(
        left, torch.tensor([3.0, 1.0, 1.0]), torch.tensor([True, False, False])
    )
    difference.sum().backward()
    assert difference.tolist() == [-2, 0, 0]
    assert left.grad.tolist() == [1, 0, 0]


def test_importance_by_hand() -> None:
    log_ratio = np.log([0.25, 0.5, 1.0, 2.0, 4.0])
    for kind, weights, clipped_frac in (
        ("truncate", [0.25, 0.5, 1.0, 2.0, 2.0], 0.2),
        ("mask", [0.0, 0.5, 1.0, 2.0, 0.0], 0.4),
    ):
        weighed = importance(log_ratio, kind, cap=2.0)
        assert weighed.weights == pytest.approx(weights)
        assert weighed.clipped_frac == clipped_frac
        assert weighed.mean == pytest.approx(7.75 / 5), "before the cap"
        assert weighed.ess_frac == pytest.approx(7.75**2 / 21.3125 / 5), "before the cap"


def test_importance_of_nothing_and_of_one_huge_weight() -> None:
    assert importance(np.array([]), "mask", 2.0)[1:] == (1.0, 1.0, 0.0)
    assert importance(np.array([0.7]), "truncate", 2.0).ess_frac == pytest.approx(1)
    assert importance(np.array([600.0, 0.0, 0.0, 0.0]), "truncate", 2.0).ess_frac == pytest.approx(
        0.25
    )


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=8), st.floats(1.01, 5))
def test_importance_weights_stay_within_the_cap(logs: list[float], cap: float) -> None:
    for kind in ("truncate", "mask"):
        weighed = importance(np.array(logs), kind, cap)
        assert (weighed.weights <= cap).all()
        assert 1 / len(logs) - 1e-12 <= weighed.ess_frac <= 1 + 1e-12
        kept = weighed.weights[np.abs(logs) < math.log(cap)]
        assert kept == pytest.approx(np.exp(logs)[np.abs(logs) < math.log(cap)])


def test_a_sampler_that_draws_from_the_top_p_shows_in_the_mean_weight() -> None:
    """Renormalised over what it keeps, trainer by sampler is the mass kept: .895 (trl#6789)."""
    probabilities = np.array([0.5, 0.25, 0.145, 0.065, 0.04])
    kept = probabilities[:3]
    log_ratio = np.log(kept) - np.log(kept / kept.sum())
    drawn = np.repeat(log_ratio, [500, 250, 145])
    assert importance(drawn, "mask", 2.0).mean == pytest.approx(0.895, abs=1e-12)
    honest = np.zeros(1000)
    assert importance(honest, "mask", 2.0).mean == 1
