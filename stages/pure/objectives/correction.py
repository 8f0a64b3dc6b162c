"""Objectives `correction_start` and `correction`: to mend a first attempt."""

import numpy as np

from stages.pure.credit import (
    Baseline,
    PerRollout,
    RolloutOfSegment,
    Scale,
    group_normalized,
    scaled,
)
from stages.pure.objectives.arrays import Advantage, IsSegment, RoundArrays, Segments


def within_first_attempt(is_attempt: IsSegment, rollout_of_segment: RolloutOfSegment) -> IsSegment:
    """Whether a segment stands no later than its rollout's first attempt.

    What follows is the revision. All of a rollout without an attempt: its answer is the first
    attempt, and nothing revises it.
    """
    before = np.cumsum(is_attempt) - is_attempt
    _, first, rollouts = np.unique(rollout_of_segment, return_index=True, return_inverse=True)
    return before == before[first][rollouts]


def first_rewards(num_rollouts: int, segments: Segments) -> PerRollout:
    """r_first, the first attempt's grade; NaN where it is unknown, or there is no attempt."""
    is_first = segments.is_attempt & within_first_attempt(segments.is_attempt, segments.rollout)
    grades = np.full(num_rollouts, np.nan)
    grades[segments.rollout[is_first]] = segments.attempt_grade[is_first]
    return grades


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
    arrays: RoundArrays, alpha: float, credit_baseline: Baseline, credit_scale: Scale
) -> Advantage:
    """Stage II of SCoRe: A_out + A_first on the first attempt, A_out + alpha · S(bonus) behind it.

    The stage maximises the rewards of both attempts, r_first + r_last, and pays the revision a
    bonus of alpha (r_last − r_first) besides (arXiv 2409.12917, section 5.2). A_first is r_first
    normalised as A_out is: without it the first attempt would be trained only as what is to be
    mended. Breaking what was right costs as much as mending what was wrong earns; staying right
    earns nothing more. The paper takes alpha well above 1. r_first is known before the revision
    begins, so in expectation it is only a baseline of the bonus there, which pays for r_last. Where
    the first attempt's grade is unknown there is neither bonus nor A_first. S is `scaled`, over the
    group's rollouts.
    """
    segments, groups = arrays.segments, arrays.groups
    first = first_rewards(len(arrays.rewards), segments)
    improvement = arrays.rewards - first
    bonus = scaled(improvement, groups, credit_baseline, credit_scale, arrays.std_epsilon)
    of_first = group_normalized(first, groups, arrays.normalize_by_std, arrays.std_epsilon)
    is_first = within_first_attempt(segments.is_attempt, segments.rollout)
    credit = np.where(is_first, of_first[segments.rollout], alpha * bonus[segments.rollout])
    return Advantage(arrays.outcome[segments.rollout], np.nan_to_num(credit, nan=0.0))
