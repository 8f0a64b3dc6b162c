"""Credit by the success expected under a prior over budgets, by hand and at its limits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from stages.pure.objectives.anytime import anytime
from stages.pure.objectives.information import information
from tests.pure.objectives.by_hand import (
    ARRAYS,
    AS_IT_IS,
    CENTRED,
    LISTS,
    OUTCOME,
    Rows,
    arrays_of,
    assert_advantage,
    made,
)

HALF_A_SEGMENT = {"kind": "geometric", "token_discount": 0.5**0.25}


def test_anytime_by_hand() -> None:
    """Gains -1/4 and 3/4 after 4 and 8 tokens; 1/4 after 4. Answers get the outcome alone."""
    advantage = anytime(ARRAYS, 1.0, HALF_A_SEGMENT, **AS_IT_IS)
    assert_advantage(advantage, OUTCOME, [-0.125 + 0.1875, 0.1875, 0, 0.125, 0, 0])
    uniform = anytime(ARRAYS, 0.0, {"kind": "uniform"}, **AS_IT_IS)  # of 9 budgets 5, 1
    credit = [(-0.25 * 5 + 0.75) / 9, 0.75 / 9, 0, 0.25 * 5 / 9, 0, 0]
    assert_advantage(uniform, [0, 0, 0.5, 0, -0.25, -0.25], credit)
    stated = anytime(ARRAYS, 1.0, {"kind": "stated", "weights": {4: 3.0, 8: 1.0}}, **AS_IT_IS)
    assert_advantage(stated, OUTCOME, [-0.25 + 0.1875, 0.1875, 0, 0.25, 0, 0])


def test_a_reply_takes_no_time() -> None:
    """One inside the first segment moves its end, and not when its gain came."""
    longer = ARRAYS.segments._replace(end_tokens=np.array([9, 13, 17, 4, 8, 4]))
    advantage, expected = (
        anytime(arrays, 1.0, HALF_A_SEGMENT, **AS_IT_IS)
        for arrays in (ARRAYS._replace(segments=longer), ARRAYS)
    )
    assert_advantage(advantage, expected.outcome.tolist(), expected.credit.tolist())


@pytest.mark.parametrize(
    "prior",
    [
        {"kind": "geometric", "token_discount": 1.0},
        {"kind": "stated", "weights": {96: 0.5}},
        {"kind": "stated", "weights": {96: 1.0, 200: 2.0}},
    ],
)
@given(rows=LISTS)
def test_all_on_the_last_budget_it_is_information(rows: Rows, prior: dict[str, Any]) -> None:
    arrays = arrays_of(made(rows), np.linspace(-1, 1, 4))
    advantage = anytime(arrays, 0.3, prior, **CENTRED)
    expected = information(arrays, 0.3, 1.0, **CENTRED)
    assert advantage.outcome == pytest.approx(expected.outcome, abs=1e-12)
    assert advantage.credit == pytest.approx(expected.credit, abs=1e-12)
