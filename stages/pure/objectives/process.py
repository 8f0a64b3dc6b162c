"""Objective `process`: each segment is credited with its grades."""

import numpy as np

from stages.pure.credit import PerRollout, to_come
from stages.pure.objectives.arrays import Advantage, Scale, Segments


def process(
    outcome: PerRollout, segments: Segments, alpha: float, discount: float, scale: Scale
) -> Advantage:
    """A_j = alpha · A_out + ∑_{i ≥ j} discount^{i−j} g̃_i, g̃ the scaled grades of segment i;
    discount 1 is Obj-1.

    Two grades: the attempt is correct; the policy's own verdict agrees with that. Each kind is
    scaled on its own within the group before it is summed, as GRPO's process supervision does with
    its one kind (arXiv 2402.03300, section 4.1.3): kinds of different means, such as rare hits and
    mostly true verdicts, would else pay or charge a segment for having a grade of that kind at all.
    A segment without a grade contributes nothing, and gets the sum over those behind it.
    """
    grades = np.zeros(len(segments.rollout))
    for kind in (segments.attempt_grade, segments.verdict_grade):
        grades += np.nan_to_num(scale(kind, segments.group), nan=0.0)
    return Advantage(alpha * outcome[segments.rollout], to_come(grades, segments.rollout, discount))
