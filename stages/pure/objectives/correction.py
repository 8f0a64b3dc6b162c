"""Objectives `correction_start` and `correction`: to mend a first attempt."""

import numpy as np

from stages.pure.credit import PerRollout, RolloutOfSegment, group_scaled
from stages.pure.objectives.arrays import Advantage, IsSegment, RoundArrays, Segments


def within_first_attempt(is_attempt: IsSegment, rollout_of_segment: RolloutOfSegment) -> IsSegment:
    """Whether a segment stands no later than its rollout's first attempt.

    What follows is the revision. All of a rollout without an attempt: its answer is the first
    attempt, and nothing revises it.
    """
    before = np.cumsum(is_attempt) - is_attempt
    _, first, rollouts = np.unique(rollout_of_segment, return_index=True, return_inverse=True)
    return before == before[first][rollouts]


def improvement(rewards: PerRollout, segments: Segments) -> PerRollout:
    """r_last − r_first: the answer's reward less the first attempt's grade.

    NaN where either is unknown.
    """
    is_first = segments.is_attempt & within_first_attempt(segments.is_attempt, segments.rollout)
    first_grades = np.full(len(rewards), np.nan)
    first_grades[segments.rollout[is_first]] = segments.attempt_grade[is_first]
    return rewards - first_grades


def correction_start(arrays: RoundArrays) -> Advantage:
    """Stage I of SCoRe (arXiv 2409.12917): A_out on the revision, nothing on the first attempt.

    The first attempt's tokens are held near the reference by the loss instead, so that the policy
    learns to revise what it would have said, and not to say something else first.
    """
    segments = arrays.segments
    is_first = within_first_attempt(segments.is_attempt, segments.rollout)
    return Advantage(
        np.where(is_first, 0.0, arrays.outcome[segments.rollout]), np.zeros(len(is_first))
    )


def correction(
    arrays: RoundArrays, alpha: float, credit_baseline: str, normalize_credit_by_std: bool
) -> Advantage:
    """Stage II of SCoRe: A_out on all, alpha · scaled(r_last − r_first) on the revision.

    Breaking what was right costs as much as mending what was wrong earns; staying right earns
    nothing more. The paper takes alpha well above 1. Where the improvement is unknown
    (`improvement`) there is no bonus. The scale is `group_scaled`, over the group's rollouts.
    """
    segments = arrays.segments
    scaled = group_scaled(
        improvement(arrays.rewards, segments),
        arrays.groups,
        credit_baseline,
        normalize_credit_by_std,
        arrays.std_epsilon,
    )
    bonus = np.nan_to_num(scaled, nan=0.0)
    is_first = within_first_attempt(segments.is_attempt, segments.rollout)
    return Advantage(
        arrays.outcome[segments.rollout],
        np.where(is_first, 0.0, alpha * bonus[segments.rollout]),
    )
