"""The sparse objective, by hand."""

import numpy as np

from stages.pure.credit import group_normalized
from stages.pure.objectives.myopic import myopic
from stages.pure.objectives.outcome import outcome
from tests.pure.objectives.by_hand import (
    ARRAYS,
    CENTRED,
    NAN,
    OUTCOME,
    arrays_of,
    assert_advantage,
    made,
)


def test_outcome_by_hand() -> None:
    assert_advantage(outcome(ARRAYS), OUTCOME, [0.0] * 6)


def test_a_group_with_one_outcome_teaches_by_progress_alone() -> None:
    nothing = group_normalized(np.ones(2), np.zeros(2, dtype=int), True, 1e-4)
    segments = made([(0, 0.1, True), (0, 0.5, True), (1, 0.0, True), (1, 0.6, True)])
    arrays = arrays_of(segments, nothing)
    assert not outcome(arrays).outcome.any()
    dense = myopic(arrays, alpha=1.0, **CENTRED)
    assert_advantage(dense, [0.0] * 4, [-0.2, 0.2, -0.3, 0.3])


def test_a_failed_verifier_leaves_nothing_to_learn() -> None:
    advantage = outcome(ARRAYS._replace(outcome=np.array([NAN, 0.0, 0.0])))
    assert np.isnan(advantage.outcome[:3]).all()
    assert not np.isnan(advantage.outcome[3:]).any()
