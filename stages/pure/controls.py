"""Controls: credit that is as large as the objective's own and tells less, or nothing.

What an arm with a control still gains, the objective's credit does not explain. Credit is of
segments, NaN where a segment has none; such segments keep their NaN.
"""

from typing import Literal

import numpy as np
from jaxtyping import Int

from stages.pure.credit import PerSegment, RolloutOfSegment, group_mean

Control = Literal["shuffled", "flat", "bonus", "shuffled_rounds"]


def shuffled(
    credit: PerSegment, groups: Int[np.ndarray, " segment"], rng: np.random.Generator
) -> PerSegment:
    """The credits of each group, dealt to its segments anew: equal mean, size and spread."""
    dealt = credit.copy()
    for group in np.unique(groups):
        known = np.flatnonzero((groups == group) & ~np.isnan(credit))
        dealt[known] = credit[rng.permutation(known)]
    return dealt


def flat(credit: PerSegment, rollout_of_segment: RolloutOfSegment) -> PerSegment:
    """Each segment's credit is the mean of its rollout's: by rollout, not by segment."""
    return np.where(np.isnan(credit), np.nan, group_mean(credit, rollout_of_segment))


def bonus(credit: PerSegment) -> PerSegment:
    """Each segment's credit is the mean of the round's: pressure to think, and nothing else."""
    return flat(credit, np.zeros(len(credit), dtype=int))


def before_scale(
    credit: PerSegment,
    rollout_of_segment: RolloutOfSegment,
    groups: Int[np.ndarray, " segment"],
    control: Control | None,
    rng: np.random.Generator,
) -> PerSegment:
    """Accumulated credit as `shuffled`, `shuffled_rounds` and `flat` have it; else as it is."""
    match control:
        case "shuffled":
            return shuffled(credit, groups, rng)
        case "shuffled_rounds":
            return shuffled(credit, np.zeros_like(groups), rng)
        case "flat":
            return flat(credit, rollout_of_segment)
    return credit


def after_scale(credit: PerSegment, control: Control | None) -> PerSegment:
    """Scaled credit as `bonus` has it; else as it is."""
    return bonus(credit) if control == "bonus" else credit
