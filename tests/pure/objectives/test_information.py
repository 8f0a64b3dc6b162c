"""Credit for what a segment gained, by hand and at its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.objectives.information import information
from stages.pure.objectives.outcome import outcome
from tests.pure.objectives.by_hand import (
    ARRAYS,
    AS_IT_IS,
    CENTRED,
    LISTS,
    NAN,
    NORMALIZED,
    OUTCOME,
    Rows,
    arrays_of,
    assert_advantage,
    made,
)


@pytest.mark.parametrize(
    ("credit_discount", "credit"),
    [
        (1.0, [0.5, 0.75, 0, 0.25, 0, 0]),
        (0.5, [0.125, 0.75, 0, 0.25, 0, 0]),
    ],
)
def test_information_by_hand(credit_discount: float, credit: list[float]) -> None:
    advantage = information(ARRAYS, alpha=0.5, credit_discount=credit_discount, **AS_IT_IS)
    assert_advantage(advantage, [0.25, 0.25, 0.5, -0.125, -0.25, -0.25], credit)


def test_less_the_groups_mean_by_hand() -> None:
    advantage = information(ARRAYS, alpha=1.0, credit_discount=1.0, **CENTRED)
    assert_advantage(advantage, OUTCOME, [0, 0.25, 0, -0.25, 0, 0])  # the mean is 1/2


def test_over_the_groups_std_by_hand() -> None:
    advantage = information(ARRAYS, alpha=1.0, credit_discount=1.0, **NORMALIZED)
    std = (0.125 / 3) ** 0.5
    assert_advantage(advantage, OUTCOME, [0, 0.25 / std, 0, -0.25 / std, 0, 0])


@given(LISTS, st.sampled_from([0.5, 1.0]))
def test_without_gains_it_is_outcome(rows: Rows, credit_discount: float) -> None:
    segments = made(rows)._replace(gain=np.full(len(rows), NAN))
    arrays = arrays_of(segments, np.linspace(-1, 1, 4))
    advantage = information(arrays, alpha=1.0, credit_discount=credit_discount, **CENTRED)
    assert (advantage.outcome == outcome(arrays).outcome).all()
    assert not advantage.credit.any()


def test_a_failed_verifier_leaves_nothing_to_learn() -> None:
    lost = ARRAYS._replace(outcome=np.array([NAN, 0.0, 0.0]))
    advantage = information(lost, alpha=1.0, credit_discount=1.0, **CENTRED)
    assert np.isnan((advantage.outcome + advantage.credit)[:3]).all()
    assert not np.isnan((advantage.outcome + advantage.credit)[3:]).any()
