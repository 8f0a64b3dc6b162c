"""Both stages of self-correction, by hand: which attempt is the first, and what mending earns."""

import numpy as np
from hypothesis import given

from stages.pure.credit import group_normalized
from stages.pure.objectives.arrays import RoundArrays, Segments
from stages.pure.objectives.correction import (
    correction,
    correction_start,
    improvement,
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


def test_improvement_by_hand() -> None:
    gained = improvement(ARRAYS.rewards, SEGMENTS)
    assert gained[0] == 1.0
    assert np.isnan(gained[1:]).all()  # its verifier was lost; it made no attempt
    hits = SEGMENTS._replace(attempt_grade=np.ones(6))
    broken = improvement(np.array([0.0, 0.5, NAN]), hits)
    assert broken[:2].tolist() == [-1.0, -0.5]
    assert np.isnan(broken[2])


def test_correction_starts_on_the_revision_alone() -> None:
    assert_advantage(correction_start(ARRAYS), [0, 0.5, 0.5, 0, -0.25, 0], [0.0] * 6)


def test_correction_by_hand() -> None:
    """Two rollouts: mended, with bonus 10; broken, with -10.

    The paper's shaped rewards differ by the same.
    """
    segments = Segments(
        rollout=np.array([0, 0, 1, 1]),
        group=np.zeros(4, dtype=int),
        start_tokens=np.array([0, 4, 0, 4]),
        end_tokens=np.array([4, 8, 4, 8]),
        gain=np.full(4, NAN),
        is_attempt=np.array([True, False, True, False]),
        attempt_grade=np.array([0.0, NAN, 1.0, NAN]),
        verdict_grade=np.full(4, NAN),
        used_tokens=np.array([4, 8, 4, 8]),
    )
    rewards, groups = np.array([1.0, 0.0]), np.zeros(2, dtype=int)
    outcome = group_normalized(rewards, groups, False, 1e-4)
    arrays = RoundArrays(outcome, rewards, groups, np.array([4, 4]), segments, 1e-4)
    advantage = correction(arrays, alpha=10.0, **AS_IT_IS)
    assert_advantage(advantage, [0.5, 0.5, -0.5, -0.5], [0, 10, 0, -10])
    plain = correction(arrays, alpha=0.0, **AS_IT_IS)
    assert_advantage(plain, [0.5, 0.5, -0.5, -0.5], [0.0] * 4)


def test_where_the_improvement_is_unknown_there_is_no_bonus() -> None:
    advantage = correction(ARRAYS, alpha=2.0, **AS_IT_IS)
    assert_advantage(advantage, OUTCOME, [0, 2, 2, 0, 0, 0])


def test_a_failed_verifier_leaves_nothing_to_learn() -> None:
    values = np.array([NAN, 0.0, 0.0])
    advantage = correction(ARRAYS._replace(outcome=values, rewards=values), alpha=1.0, **CENTRED)
    assert np.isnan((advantage.outcome + advantage.credit)[:3]).all()
    assert not np.isnan((advantage.outcome + advantage.credit)[3:]).any()
