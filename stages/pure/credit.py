"""From rewards and gains to an advantage for every segment. Groups are given by index arrays."""

import numpy as np
from jaxtyping import Bool, Float, Int

PerRollout = Float[np.ndarray, " rollout"]
PerSegment = Float[np.ndarray, " segment"]


def group_mean(values: Float[np.ndarray, " item"], groups: Int[np.ndarray, " item"]) -> Float[np.ndarray, " item"]:
    """Mean over each item's group, NaN items left out; 0 for a group without any."""
    usable = ~np.isnan(values)
    size = int(groups.max(initial=-1)) + 1
    counts = np.bincount(groups[usable], minlength=size)
    sums = np.bincount(groups[usable], weights=values[usable], minlength=size)
    means = np.divide(sums, counts, out=np.zeros(size), where=counts > 0)
    return means[groups]


def group_normalized(
    rewards: PerRollout, groups: Int[np.ndarray, " rollout"], normalize_by_std: bool, std_epsilon: float
) -> PerRollout:
    """A_out = (r − mean_group r) / (std_group r + ε), the group-relative advantage of GRPO (arXiv 2402.03300, eq. 3).

    The standard deviation is the population's (ddof 0); the field's ε is 1e-4 (TRL) or 1e-6 (verl). Without
    `normalize_by_std` the division is left out (Dr. GRPO, arXiv 2503.20783). A NaN reward (a failed verifier) stays
    NaN and counts for nothing in its group. A group of equal rewards gets zeros.
    """
    centred = rewards - group_mean(rewards, groups)
    if not normalize_by_std:
        return centred
    std = np.sqrt(group_mean(centred**2, groups))
    return centred / (std + std_epsilon)


def myopic(progress: PerSegment, groups: Int[np.ndarray, " segment"], baseline: str) -> PerSegment:
    """Credit of a segment = its own progress Δ_j, less the mean over all segments of its group (`group_mean`) or 0.

    The baseline is a constant of the group, so a useless segment is charged what the group's segments gain on
    average. NaN progress (no usable probe) earns 0.
    """
    assert baseline in ("none", "group_mean")
    centred = progress - group_mean(progress, groups) if baseline == "group_mean" else progress
    return np.nan_to_num(centred, nan=0.0)


def segment_advantages(
    outcome: PerRollout,
    credit: PerSegment,
    rollout_of_segment: Int[np.ndarray, " segment"],
    is_answer: Bool[np.ndarray, " segment"],
    alpha: float,
) -> PerSegment:
    """A = alpha · A_out + credit_j for a thinking segment, alpha · A_out for the answer.

    The objective `information` (method.md section 5). Segments are the training episodes and earn their own
    progress; the answer is the test episode and earns the outcome alone. With zero credit and alpha = 1 it is
    `outcome`. Rollouts without a reward give NaN.
    """
    return alpha * outcome[rollout_of_segment] + np.where(is_answer, 0.0, credit)
