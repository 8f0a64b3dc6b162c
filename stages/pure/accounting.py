"""What becomes of each rollout in an update: one status, so that token counts add up.

And rates to watch beside it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from stages.pure.losses import importance

IsRollout = Bool[np.ndarray, " rollout"]


class Status(StrEnum):
    """Why a rollout's sampled tokens were trained, or were not."""

    TRAINED = "trained"
    ERRORED = "errored"
    """Its verifier failed: there is no reward to learn from."""
    TRUNCATED = "truncated"
    """It never ended, and the recipe masks such rollouts."""
    FILTERED_GROUP = "filtered_group"
    """All rewards of its group are equal, and the recipe leaves such groups out."""
    FILTERED_ZERO_ADVANTAGE = "filtered_zero_advantage"
    """Every token's advantage is zero and the loss has no other term, so its gradient is zero."""


class VerdictRates(NamedTuple):
    """How often the policy's own verdicts are false; None where none of that kind could be."""

    false_positive_frac: float | None
    false_negative_frac: float | None


def statuses(
    is_errored: IsRollout,
    is_truncated: IsRollout,
    is_filtered_group: IsRollout,
    is_without_gradient: IsRollout,
) -> list[Status]:
    """The first status that applies, in the order of the arguments; `trained` where none does."""
    conditions = [is_errored, is_truncated, is_filtered_group, is_without_gradient]
    assert len({len(condition) for condition in conditions}) == 1
    reasons = (
        Status.ERRORED,
        Status.TRUNCATED,
        Status.FILTERED_GROUP,
        Status.FILTERED_ZERO_ADVANTAGE,
    )
    rows = zip(*conditions, strict=True)
    return [
        next((s for s, holds in zip(reasons, row, strict=True) if holds), Status.TRAINED)
        for row in rows
    ]


def credit_share(
    outcome: Sequence[Float[np.ndarray, " _"]], credit: Sequence[Float[np.ndarray, " _"]]
) -> float:
    """Mean over tokens of |credit| / (|outcome| + |credit|).

    How much of the advantage the segments' credit makes.

    0 is the final reward alone. A token with neither counts 0; without tokens it is 0.
    """
    sparse, dense = (
        np.abs(np.concatenate([np.zeros(0), *advantages])) for advantages in (outcome, credit)
    )
    shares = np.divide(dense, sparse + dense, out=np.zeros(len(dense)), where=dense > 0)
    return float(shares.mean()) if len(shares) else 0.0


def group_shares(
    amounts: Float[np.ndarray, " rollout"], groups: Int[np.ndarray, " rollout"]
) -> Float[np.ndarray, " rollout"]:
    """Of each rollout, its group's part of the sum of all amounts; 0 where that sum is 0."""
    total = amounts.sum()
    if not total:
        return np.zeros(len(amounts))
    return np.bincount(groups, weights=amounts)[groups] / total


def verdict_rates(
    claims: Float[np.ndarray, " attempt"], truths: Float[np.ndarray, " attempt"]
) -> VerdictRates:
    """Shares of false verdicts that the policy gives its own attempts.

    Of wrong attempts those called correct, of correct ones those called wrong.

    1 for correct, 0 for wrong; attempts without a claim or a truth (NaN) are left out.
    """
    is_known = ~np.isnan(claims) & ~np.isnan(truths)
    is_claimed, is_hit = claims[is_known] == 1, truths[is_known] == 1

    def frac(of: Bool[np.ndarray, " known"], among: Bool[np.ndarray, " known"]) -> float | None:
        return float(of[among].mean()) if among.any() else None

    return VerdictRates(frac(is_claimed, ~is_hit), frac(~is_claimed, is_hit))


class Mismatch(NamedTuple):
    """Of trainer from sampler, before the first step: |log p_trainer - log p_sampler|, nats.

    `ess_frac` is the effective sample size of the weights p_trainer / p_sampler over the number of
    tokens (`stages.pure.losses.Importance`). `largest` is where the largest is: a rollout, and
    which of its tokens.
    """

    num_tokens: int
    mean_nats: float
    max_nats: float
    ess_frac: float
    largest: tuple[int, int]


def mismatch(differences: Sequence[Float[np.ndarray, " _"]]) -> Mismatch:
    """Measured over the tokens of some rollouts, an array of log p_trainer - log p_sampler each.

    A difference that is no number counts as infinite. No token gives 0, and ess_frac 1.
    """
    flat = np.concatenate([np.zeros(0), *differences])
    if not len(flat):
        return Mismatch(0, 0.0, 0.0, 1.0, (0, 0))
    distance = np.nan_to_num(np.abs(flat), nan=np.inf, posinf=np.inf)
    top = int(distance.argmax())
    ends = np.cumsum([len(of_rollout) for of_rollout in differences])
    rollout = int(np.searchsorted(ends, top, side="right"))
    is_finite = bool(np.isfinite(flat).all())
    return Mismatch(
        num_tokens=len(flat),
        mean_nats=float(distance.mean()),
        max_nats=float(distance[top]),
        ess_frac=importance(flat, "truncate", np.inf).ess_frac if is_finite else 0.0,
        largest=(rollout, top - int(ends[rollout]) + len(differences[rollout])),
    )
