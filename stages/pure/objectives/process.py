"""Objectives `process` and `myopic_process`: segments are credited with grades."""

import numpy as np

from stages.pure.credit import Baseline, PerSegment, Scale, scaled, to_come
from stages.pure.objectives.arrays import Advantage, RoundArrays
from stages.pure.objectives.credited import credited


def scaled_grades(
    arrays: RoundArrays, credit_baseline: Baseline, credit_scale: Scale
) -> PerSegment:
    """S(attempt is right) + S(own verdict is true) of each segment, 0 for a grade that it lacks.

    Each kind is scaled on its own (`scaled`) before it is summed, as GRPO's process supervision
    does with its one kind (arXiv 2402.03300, section 4.1.3): kinds of different means, such as rare
    hits and mostly true verdicts, would else pay or charge a segment for having a grade of that
    kind at all.
    """
    segments = arrays.segments
    grades = np.zeros(len(segments.rollout))
    for kind in (segments.attempt_grade, segments.verdict_grade):
        of_kind = scaled(kind, segments.group, credit_baseline, credit_scale, arrays.std_epsilon)
        grades += np.nan_to_num(of_kind, nan=0.0)
    return grades


def process(
    arrays: RoundArrays,
    alpha: float,
    credit_discount: float,
    credit_baseline: Baseline,
    credit_scale: Scale,
) -> Advantage:
    """A_j = alpha · A_out + ∑_{i ≥ j} credit_discount^{i−j} g̃_i, g̃ the scaled grades of segment i.

    On the answer A_out (`credited`). With `credit_discount` 1 it is Obj-1, the sum of the grades to
    come. A segment without a grade contributes nothing, and gets the sum over those behind it.
    """
    grades = scaled_grades(arrays, credit_baseline, credit_scale)
    summed = to_come(grades, arrays.segments.rollout, credit_discount)
    return credited(arrays, alpha, summed, "none", "none")


def myopic_process(
    arrays: RoundArrays, alpha: float, credit_baseline: Baseline, credit_scale: Scale
) -> Advantage:
    """A_j = alpha · A_out + g̃_j, g̃ the scaled grades of segment j; on the answer A_out.

    The greedy rule to `process`, as `myopic` is to `information`, with the same trap.
    """
    grades = scaled_grades(arrays, credit_baseline, credit_scale)
    return credited(arrays, alpha, grades, "none", "none")
