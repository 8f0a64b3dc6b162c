"""Objective `information`: each segment is credited with what it gained."""

import numpy as np

from stages.pure.credit import group_scaled, to_come
from stages.pure.objectives.arrays import Advantage, RoundArrays


def information(
    arrays: RoundArrays,
    alpha: float,
    credit_discount: float,
    credit_baseline: str,
    normalize_credit_by_std: bool,
) -> Advantage:
    """A_j = alpha · A_out + scaled(∑_{i ≥ j} credit_discount^{i−j} Δ_i) on thinking segment j.

    On the answer alpha · A_out. Obj-2 of the meta-RL reading: segments are training episodes and
    earn what they tell, the answer is the test episode and earns the outcome alone. The scale
    (`group_scaled`) has its statistics over all thinking segments of the group. The group mean is
    therefore a charge on each segment, not a baseline that cancels in expectation: the answer does
    not pay it, so a segment must gain more than its group's average to be worth more than
    answering. A segment without a gain has no credit. Credit 0 throughout is `outcome`.
    """
    segments = arrays.segments
    credit = group_scaled(
        to_come(segments.gain, segments.rollout, credit_discount),
        segments.group,
        credit_baseline,
        normalize_credit_by_std,
        arrays.std_epsilon,
    )
    return Advantage(alpha * arrays.outcome[segments.rollout], np.nan_to_num(credit, nan=0.0))
