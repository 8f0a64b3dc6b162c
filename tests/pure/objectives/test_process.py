"""Credit for grades, by hand: what counts, and what must not."""

import numpy as np
import pytest
from hypothesis import given

from stages.pure.objectives.arrays import RoundArrays
from stages.pure.objectives.process import myopic_process, process, scaled_grades
from tests.pure.objectives.by_hand import (
    ARRAYS,
    CENTRED,
    LISTS,
    NAN,
    NORMALIZED,
    OUTCOME,
    SEGMENTS,
    Rows,
    arrays_of,
    assert_advantage,
    made,
)


def graded(attempts: list[float], verdicts: list[float]) -> RoundArrays:
    return ARRAYS._replace(
        segments=SEGMENTS._replace(
            attempt_grade=np.array(attempts), verdict_grade=np.array(verdicts)
        )
    )


def test_process_by_hand() -> None:
    """Attempts 0 and 1 normalise to -1 and 1, and so do their verdicts; the lost one has none."""
    advantage = process(ARRAYS, alpha=1.0, credit_discount=1.0, **NORMALIZED)
    assert_advantage(advantage, OUTCOME, [-2 + 2, 2, 0, 0, 0, 0])
    greedy = myopic_process(ARRAYS, alpha=0.0, **NORMALIZED)
    assert_advantage(greedy, [0, 0, 0.5, 0, -0.25, -0.25], [-2, 2, 0, 0, 0, 0])
    assert scaled_grades(ARRAYS, **NORMALIZED).tolist() == [-2, 2, 0, 0, 0, 0]


def test_a_segment_without_a_grade_contributes_nothing_and_gets_what_follows() -> None:
    ungraded = graded([NAN, 1.0, NAN, 0.0, NAN, NAN], [NAN] * 6)
    advantage = process(ungraded, alpha=1.0, credit_discount=1.0, **NORMALIZED)
    assert advantage.credit.tolist() == [1, 1, 0, -1, 0, 0]


def test_each_kind_of_grade_is_scaled_on_its_own() -> None:
    """True verdicts on misses teach nothing, and charge no attempt for having a verdict."""
    missed = graded([0.0, 0.0, NAN, 0.0, NAN, NAN], [1.0, 1.0, NAN, 1.0, NAN, NAN])
    advantage = process(missed, alpha=1.0, credit_discount=1.0, **CENTRED)
    assert (advantage.credit == 0).all()


@given(LISTS)
def test_graded_rewards_of_a_group_sum_to_zero(rows: Rows) -> None:
    arrays = arrays_of(made(rows), np.zeros(4))
    advantage = myopic_process(arrays, alpha=1.0, **CENTRED)
    assert advantage.credit.sum() == pytest.approx(0, abs=1e-9)


def test_a_failed_verifier_leaves_nothing_to_learn() -> None:
    lost = ARRAYS._replace(outcome=np.array([NAN, 0.0, 0.0]))
    advantage = process(lost, alpha=1.0, credit_discount=1.0, **CENTRED)
    assert np.isnan((advantage.outcome + advantage.credit)[:3]).all()
    assert not np.isnan((advantage.outcome + advantage.credit)[3:]).any()
