"""Objective `process`: each segment is credited with its grades."""

import numpy as np

from stages.pure.credit import group_scaled, to_come
from stages.pure.objectives.arrays import Advantage, RoundArrays


def process(
    arrays: RoundArrays,
    alpha: float,
    credit_discount: float,
    credit_baseline: str,
    normalize_credit_by_std: bool,
) -> Advantage:
    """A_j = alpha · A_out + ∑_{i ≥ j} credit_discount^{i−j} g̃_i, g̃ the scaled grades of segment i.

    With `credit_discount` 1 it is Obj-1. Two grades: the attempt is correct; the policy's own
    verdict agrees with that. Each kind is scaled on its own within the group (`group_scaled`)
    before it is summed, as GRPO's process supervision does with its one kind (arXiv 2402.03300,
    section 4.1.3): kinds of different means, such as rare hits and mostly true verdicts, would else
    pay or charge a segment for having a grade of that kind at all. A segment without a grade
    contributes nothing, and gets the sum over those behind it.
    """
    segments = arrays.segments
    grades = np.zeros(len(segments.rollout))
    for kind in (segments.attempt_grade, segments.verdict_grade):
        scaled = group_scaled(
            kind, segments.group, credit_baseline, normalize_credit_by_std, arrays.std_epsilon
        )
        grades += np.nan_to_num(scaled, nan=0.0)
    return Advantage(
        alpha * arrays.outcome[segments.rollout], to_come(grades, segments.rollout, credit_discount)
    )
