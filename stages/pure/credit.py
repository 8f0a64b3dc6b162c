"""From gains of segments to credit: group statistics, sums over what is to come, baselines.

Groups are index arrays. Arrays over segments hold each rollout's segments next to each other, in
the order of its stream.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

PerItem = Float[np.ndarray, " item"]
PerRollout = Float[np.ndarray, " rollout"]
PerSegment = Float[np.ndarray, " segment"]
RolloutOfSegment = Int[np.ndarray, " segment"]
Baseline = Literal["none", "group_mean"]
Scale = Literal["none", "group", "round"]


def group_mean(values: PerItem, groups: Int[np.ndarray, " item"]) -> PerItem:
    """Mean over each item's group, NaN items left out; 0 for a group without any.

    The mean of equal values is that value, to the last bit: a sum divided by a count need not be,
    and what is left of 0.1 three times would be a gradient of rounding.
    """
    usable = ~np.isnan(values)
    lowest, highest = group_range(values, groups)
    counts = np.bincount(groups[usable], minlength=len(lowest))
    sums = np.bincount(groups[usable], weights=values[usable], minlength=len(lowest))
    means = np.divide(sums, counts, out=np.zeros(len(lowest)), where=counts > 0)
    return np.where(lowest == highest, lowest, means)[groups]


def group_range(
    values: PerItem, groups: Int[np.ndarray, " item"]
) -> tuple[Float[np.ndarray, " group"], Float[np.ndarray, " group"]]:
    """Least and greatest value of each group, NaN left out; inf and −inf where there is none."""
    usable = ~np.isnan(values)
    size = int(groups.max(initial=-1)) + 1
    lowest, highest = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(lowest, groups[usable], values[usable])
    np.maximum.at(highest, groups[usable], values[usable])
    return lowest, highest


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
    group of equal rewards gets zeros, whatever the reward.
    """
    scale: Scale = "group" if normalize_by_std else "none"
    return scaled(rewards, groups, "group_mean", scale, std_epsilon)


def scaled(
    values: PerItem,
    groups: Int[np.ndarray, " item"],
    baseline: Baseline,
    scale: Scale,
    std_epsilon: float,
) -> PerItem:
    """(v − b) / (rms(v − b) + ε), b the group's mean, or 0 with `baseline` none.

    rms is the root mean square about zero, of the group's values or of the whole round's; with
    `scale` none nothing is divided. Less the group's mean, the group's rms is its standard
    deviation (ddof 0). Without a baseline equal values become about 1 or −1, a value alone in its
    group too, and zeros stay 0: no quotient exceeds √n, n the number of values that the rms is
    over. NaN stays NaN and counts for nothing.
    """
    centred = values - group_mean(values, groups) if baseline == "group_mean" else values
    if scale == "none":
        return centred
    over = groups if scale == "group" else np.zeros_like(groups)
    return centred / (np.sqrt(group_mean(centred**2, over)) + std_epsilon)


def is_one_outcome(
    rewards: PerRollout, groups: Int[np.ndarray, " rollout"]
) -> Bool[np.ndarray, " rollout"]:
    """Whether all rewards of a rollout's group are equal, NaN left out: then A_out is 0 throughout.

    True for a group with one usable reward, or none.
    """
    lowest, highest = group_range(rewards, groups)
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

    `discount` is in (0, 1]. With 1 the sum telescopes to J_k − J_{j−1}: it differs between segments
    by what was gained before, so it is no constant of the rollout. Gains are never clipped at zero:
    E max(0, Δ + noise) > 0 would pay for useless segments. A segment whose own gain is unknown
    (NaN, as the answer's is) stays NaN, and adds nothing to others'.
    """
    assert (np.diff(rollout_of_segment) >= 0).all(), "segments of one rollout must stand together"
    sums = np.nan_to_num(gains, nan=0.0)
    for index in range(len(sums) - 2, -1, -1):
        if rollout_of_segment[index] == rollout_of_segment[index + 1]:
            sums[index] += discount * sums[index + 1]
    return np.where(np.isnan(gains), np.nan, sums)


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
