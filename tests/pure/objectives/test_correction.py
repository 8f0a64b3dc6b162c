"""Both stages of self-correction, by hand: which attempt is the first, and what mending earns."""

import numpy as np
import pytest
from hypothesis import given

from stages.pure.credit import group_normalized
from stages.pure.objectives.arrays import RoundArrays
from stages.pure.objectives.correction import (
    correction,
    correction_start,
    first_rewards,
    within_first_attempt,
)
from tests.pure.objectives.by_hand import (
    ARRAYS,
    AS_IT_IS,
    CENTRED,
    LISTS,
    NAN,
    OUTCOME,
    SEGMENTS,
    Rows,
    arrays_of,
    assert_advantage,
    made,
)


def test_the_first_attempt_ends_where_the_revision_begins() -> None:
    is_first = within_first_attempt(SEGMENTS.is_attempt, SEGMENTS.rollout)
    assert is_first.tolist() == [True, False, False, True, False, True]
    late = within_first_attempt(np.array([False, False, True, True]), np.zeros(4, dtype=int))
    assert late.tolist() == [True, True, True, False]
    assert within_first_attempt(np.zeros(0, dtype=bool), np.zeros(0, dtype=int)).shape == (0,)


@given(LISTS)
def test_every_rollout_begins_with_its_first_attempt_and_never_returns_to_it(rows: Rows) -> None:
    segments = made(rows)
    is_first = within_first_attempt(segments.is_attempt, segments.rollout)
    for rollout in np.unique(segments.rollout):
        is_own = segments.rollout == rollout
        mine, attempts = is_first[is_own], segments.is_attempt[is_own]
        assert mine[0]
        assert (np.diff(mine.astype(int)) <= 0).all()
        assert (mine & attempts).sum() == min(1, attempts.sum())


def test_first_rewards_by_hand() -> None:
    first = first_rewards(3, SEGMENTS)
    assert first[0] == 0.0
    assert np.isnan(first[1:]).all()  # its verifier was lost; it made no attempt
    hits = SEGMENTS._replace(attempt_grade=np.ones(6))
    assert first_rewards(3, hits)[:2].tolist() == [1.0, 1.0]


def test_correction_starts_on_the_revision_alone() -> None:
    assert_advantage(correction_start(ARRAYS), [0, 0.5, 0.5, 0, -0.25, 0], [0.0] * 6)


def two_attempts(first: list[float], last: list[float]) -> RoundArrays:
    """A group whose rollouts make an attempt and answer; rewards of both."""
    num = len(first)
    index = np.tile([0, 1], num)
    segments = SEGMENTS._replace(
        rollout=np.repeat(np.arange(num), 2),
        group=np.zeros(2 * num, dtype=int),
        start_tokens=4 * index,
        end_tokens=4 * index + 4,
        gain=np.full(2 * num, NAN),
        is_thinking=index == 0,
        is_stop=np.zeros(2 * num, dtype=bool),
        is_attempt=index == 0,
        is_repeat=np.zeros(2 * num, dtype=bool),
        attempt_grade=np.array([grade for of_first in first for grade in (of_first, NAN)]),
        verdict_grade=np.full(2 * num, NAN),
        used_tokens=4 * index + 4,
    )
    rewards, groups = np.array(last), np.zeros(num, dtype=int)
    outcome = group_normalized(rewards, groups, False, 1e-4)
    return arrays_of(segments, outcome)._replace(rewards=rewards)


def test_correction_by_hand() -> None:
    """Mended, with bonus 10; broken, with -10: the paper's shaped rewards differ by the same.

    The first attempts are paid by what they were, wrong and right.
    """
    arrays = two_attempts([0.0, 1.0], [1.0, 0.0])
    advantage = correction(arrays, alpha=10.0, **AS_IT_IS)
    assert_advantage(advantage, [0.5, 0.5, -0.5, -0.5], [-0.5, 10, 0.5, -10])
    plain = correction(arrays, alpha=0.0, **AS_IT_IS)
    assert_advantage(plain, [0.5, 0.5, -0.5, -0.5], [-0.5, 0, 0.5, 0])


def test_the_first_attempt_is_rewarded_on_the_scale_of_the_outcome() -> None:
    arrays = two_attempts([0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0])
    first = group_normalized(np.array([0.0, 1, 1, 1]), np.zeros(4, dtype=int), True, 1e-4)
    advantage = correction(arrays._replace(normalize_by_std=True), alpha=0.0, **AS_IT_IS)
    assert advantage.credit[::2] == pytest.approx(first, abs=1e-12)
    assert (advantage.outcome == 0).all()  # all end right: A_out says nothing, r_first does


def test_where_the_improvement_is_unknown_there_is_no_bonus() -> None:
    advantage = correction(ARRAYS, alpha=2.0, **AS_IT_IS)
    assert_advantage(advantage, OUTCOME, [0, 2, 2, 0, 0, 0])  # one known r_first is its mean


def test_a_failed_verifier_leaves_nothing_to_learn() -> None:
    values = np.array([NAN, 0.0, 0.0])
    advantage = correction(ARRAYS._replace(outcome=values, rewards=values), alpha=1.0, **CENTRED)
    assert np.isnan((advantage.outcome + advantage.credit)[:3]).all()
    assert not np.isnan((advantage.outcome + advantage.credit)[3:]).any()
