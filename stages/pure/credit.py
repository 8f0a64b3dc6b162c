"""From gains of segments to credit: group statistics, sums over what is to come, baselines.

Groups are index arrays. Arrays over segments hold each rollout's segments next to each other, in
the order of its stream.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

PerItem = Float[np.ndarray, " item"]
PerRollout = Float[np.ndarray, " rollout"]
PerSegment = Float[np.ndarray, " segment"]
RolloutOfSegment = Int[np.ndarray, " segment"]


def group_mean(values: PerItem, groups: Int[np.ndarray, " item"]) -> PerItem:
    """Mean over each item's group, NaN items left out; 0 for a group without any."""
    usable = ~np.isnan(values)
    size = int(groups.max(initial=-1)) + 1
    counts = np.bincount(groups[usable], minlength=size)
    sums = np.bincount(groups[usable], weights=values[usable], minlength=size)
    means = np.divide(sums, counts, out=np.zeros(size), where=counts > 0)
    return means[groups]


def group_normalized(
    rewards: PerRollout,
    groups: Int[np.ndarray, " rollout"],
    normalize_by_std: bool,
    std_epsilon: float,
) -> PerRollout:
    """A_out = (r − mean_group r) / (std_group r + ε), the group-relative advantage of GRPO.

    Eq. 3 of arXiv 2402.03300. The standard deviation is the population's (ddof 0); the field's ε is
    1e-4 (TRL) or 1e-6 (verl). Without `normalize_by_std` the division is left out (Dr. GRPO, arXiv
    2503.20783). A NaN reward (a failed verifier) stays NaN and counts for nothing in its group. A
    group of equal rewards gets zeros.
    """
    return group_scaled(rewards, groups, "group_mean", normalize_by_std, std_epsilon)


def group_scaled(
    values: PerItem,
    groups: Int[np.ndarray, " item"],
    baseline: str,
    normalize_by_std: bool,
    std_epsilon: float,
) -> PerItem:
    """(v − b) / (std_group v + ε), b the group's mean, or 0 with `baseline` none.

    The standard deviation is about the mean whatever the baseline (population's, ddof 0); without
    `normalize_by_std` nothing is divided. NaN stays NaN and counts for nothing. Equal values become
    0 with `group_mean`, v / ε without a baseline.
    """
    assert baseline in ("none", "group_mean")
    centred = values - group_mean(values, groups)
    kept = centred if baseline == "group_mean" else values
    if not normalize_by_std:
        return kept
    return kept / (np.sqrt(group_mean(centred**2, groups)) + std_epsilon)


def is_one_outcome(
    rewards: PerRollout, groups: Int[np.ndarray, " rollout"]
) -> Bool[np.ndarray, " rollout"]:
    """Whether all rewards of a rollout's group are equal, NaN left out: then A_out is 0 throughout.

    True for a group with one usable reward, or none.
    """
    usable = ~np.isnan(rewards)
    size = int(groups.max(initial=-1)) + 1
    lowest, highest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(lowest, groups[usable], rewards[usable])
    np.maximum.at(highest, groups[usable], rewards[usable])
    return (lowest >= highest)[groups]


def length_penalized(
    rewards: PerRollout,
    thinking_tokens: Int[np.ndarray, " rollout"],
    budget_tokens: int,
    penalty: float,
) -> PerRollout:
    """Reward − penalty · thinking tokens / budget: a stream as long as the budget pays it all.

    To be normalised after, so that within a group of equal rewards the shorter stream wins. MRT
    (arXiv 2503.07572, table 1) reports that such a penalty cost 3.7 points of accuracy.
    """
    return rewards - penalty * thinking_tokens / budget_tokens


def to_come(gains: PerSegment, rollout_of_segment: RolloutOfSegment, discount: float) -> PerSegment:
    """∑_{i ≥ j} discount^{i−j} Δ_i over segments i of j's rollout: its gain and those behind it.

    Discount 0 is the segment's own gain (myopic; VinePPO, arXiv 2410.01679, A = V_j − V_{j−1} where
    no reward falls inside). Discount 1 telescopes to J_k − J_{j−1} (to go): it differs between
    segments by what was gained before, so it is no constant of the rollout. Gains are never clipped
    at zero: E max(0, Δ + noise) > 0 would pay for useless segments. A segment whose own gain is
    unknown (NaN, as the answer's is) stays NaN, and adds nothing to others'.
    """
    assert (np.diff(rollout_of_segment) >= 0).all(), "segments of one rollout must stand together"
    sums = np.nan_to_num(gains, nan=0.0)
    for index in range(len(sums) - 2, -1, -1):
        if rollout_of_segment[index] == rollout_of_segment[index + 1]:
            sums[index] += discount * sums[index + 1]
    return np.where(np.isnan(gains), np.nan, sums)


def token_discounted(
    gains: PerSegment, used_tokens: Int[np.ndarray, " segment"], discount: float
) -> PerSegment:
    """discount^{t_j} Δ_j, t_j the thinking tokens sampled before segment j ends.

    It is the segment's part of the area under the J curve. Cut at a budget of t tokens, a stream
    succeeds with J(t) = J_j for t_j ≤ t < t_{j+1}, and J_k for ever after its last boundary. Weigh
    the budgets geometrically, (1 − γ) γ^t for t = 0, 1, …: mean budget γ / (1 − γ) tokens. Then,
    each jump Δ_j counting from t_j on,

        area = (1 − γ) ∑_t γ^t J(t) = J_0 + ∑_j Δ_j (1 − γ) ∑_{t ≥ t_j} γ^t = J_0 + ∑_j γ^{t_j} Δ_j.

    1 − area is the regret to an oracle that succeeds at once (MRT's cumulative regret, arXiv
    2503.07572, sums over whole episodes instead, up to a fixed number). The gradient of the
    expected area gives a token the terms that it can still change, those of its own segment and of
    later ones: `to_come` of these gains, discount 1. Time counts from the start of the stream, so
    late segments matter little even to their own tokens; that is the objective. With γ = 1 they are
    the gains themselves, with γ = 0 nothing that took a token counts.
    """
    return discount**used_tokens * gains


def spread(
    values: Shaped[np.ndarray, " span"],
    rows: Int[np.ndarray, " span"],
    starts: Iterable[int] | Int[np.ndarray, " span"],
    ends: Iterable[int] | Int[np.ndarray, " span"],
    lengths: Iterable[int],
) -> list[Shaped[np.ndarray, " _"]]:
    """A span's value on all its tokens: an array for each row, as long as `lengths` says.

    0 where no span lies. Spans are half-open; of two that overlap the later one holds, an empty one
    leaves no trace.
    """
    by_token = [np.zeros(length, dtype=values.dtype) for length in lengths]
    for row, start, end, value in zip(rows, starts, ends, values, strict=True):
        by_token[row][start:end] = value
    return by_token
