"""Objective `information`: each segment is credited with what it gained."""

import numpy as np

from stages.pure.credit import PerRollout, to_come
from stages.pure.objectives.arrays import Advantage, Scale, Segments


def information(
    outcome: PerRollout, segments: Segments, alpha: float, discount: float, scale: Scale
) -> Advantage:
    """A_j = alpha · A_out + scaled(∑_{i ≥ j} discount^{i−j} Δ_i) on thinking segment j, alpha ·
    A_out on the answer.

    Obj-2 of the meta-RL reading: segments are training episodes and earn what they tell, the answer
    is the test episode and earns the outcome alone. The scale's statistics are over all thinking
    segments of the group. The group mean is therefore a charge on each segment, not a baseline that
    cancels in expectation: the answer does not pay it, so a segment must gain more than its group's
    average to be worth more than answering. A segment without a gain has no credit. Credit 0
    throughout is `outcome_only`.
    """
    credit = scale(to_come(segments.gain, segments.rollout, discount), segments.group)
    return Advantage(alpha * outcome[segments.rollout], np.nan_to_num(credit, nan=0.0))
