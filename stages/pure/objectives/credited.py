"""What objectives share that credit segments: the outcome beside the credit, and its scale."""

import numpy as np

from stages.pure.controls import after_scale, before_scale
from stages.pure.credit import Baseline, PerSegment, Scale, scaled
from stages.pure.objectives.arrays import Advantage, RoundArrays


def credited(
    arrays: RoundArrays,
    alpha: float,
    credit: PerSegment,
    credit_baseline: Baseline,
    credit_scale: Scale,
) -> Advantage:
    """A = alpha · A_out + S(credit) on thinking, alpha · A_out on the choice to stop, A_out behind.

    The answer has a term of its own, of weight 1 whatever alpha. The choice to stop is one of
    thinking's: made at the last boundary, where J_k − J_k is to come, so it earns no credit. Paid
    A_out, it would have another baseline (the group's mean) than the choice to go on has in the
    same state (J_k), and stopping would be paid for wherever J_k is above the mean. S is `scaled`,
    over the thinking segments whose credit is known (NaN: none), between the two parts of the
    control.
    """
    segments = arrays.segments
    is_answer = ~(segments.is_thinking | segments.is_stop)
    weight = np.where(is_answer, 1.0, alpha)
    moved = before_scale(
        np.where(segments.is_thinking, credit, np.nan),
        segments.rollout,
        segments.group,
        arrays.control,
        np.random.default_rng(arrays.seed),
    )
    on_scale = scaled(moved, segments.group, credit_baseline, credit_scale, arrays.std_epsilon)
    final = after_scale(on_scale, arrays.control)
    return Advantage(weight * arrays.outcome[segments.rollout], np.nan_to_num(final, nan=0.0))
