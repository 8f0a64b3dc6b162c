"""Credit on the discounted area under the J curve, by hand and at its limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.objectives.information import information
from stages.pure.objectives.regret import regret
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


def test_regret_by_hand() -> None:
    half_a_segment = 0.5**0.25
    advantage = regret(ARRAYS, 1.0, token_discount=half_a_segment, credit_discount=1.0, **AS_IT_IS)
    assert_advantage(advantage, OUTCOME, [-0.125 + 0.1875, 0.1875, 0, 0.125, 0, 0])


def test_a_reply_takes_no_time() -> None:
    """One inside the first segment moves its end, and not when its gain came."""
    keys = {"alpha": 1.0, "token_discount": 0.5, "credit_discount": 1.0, **AS_IT_IS}
    longer = ARRAYS.segments._replace(end_tokens=np.array([9, 13, 17, 4, 8, 4]))
    advantage, expected = regret(ARRAYS._replace(segments=longer), **keys), regret(ARRAYS, **keys)
    assert_advantage(advantage, expected.outcome.tolist(), expected.credit.tolist())


@given(LISTS, st.sampled_from([0.0, 1.0]))
def test_without_a_discount_of_tokens_it_is_information(rows: Rows, credit_discount: float) -> None:
    arrays = arrays_of(made(rows), np.linspace(-1, 1, 4))
    keys = {"alpha": 0.3, "credit_discount": credit_discount, **CENTRED}
    advantage, expected = regret(arrays, token_discount=1.0, **keys), information(arrays, **keys)
    assert advantage.outcome == pytest.approx(expected.outcome, abs=1e-12)
    assert advantage.credit == pytest.approx(expected.credit, abs=1e-12)
