"""Mismatch of trainer and sampler, by hand and as a property."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.mismatch import Mismatch, mismatch

NAN = float("nan")


def test_by_hand() -> None:
    """Weights 1, 2 and 1/2: (3.5)^2 / (1 + 4 + .25) over three tokens."""
    two = math.log(2)
    found = mismatch([np.array([0.0]), np.array([two, -two])])
    assert found[:3] == pytest.approx((3, 2 * two / 3, two))
    assert found.ess_frac == pytest.approx(3.5**2 / 5.25 / 3)
    assert found.largest == (1, 0)
    assert mismatch([np.array([0.1]), np.zeros(0), np.array([0.0, -0.5])]).largest == (2, 1)


def test_nothing_differs_nowhere() -> None:
    assert mismatch([]) == mismatch([np.zeros(0)]) == Mismatch(0, 0.0, 0.0, 1.0, (0, 0))


@pytest.mark.parametrize("odd", [NAN, math.inf, -math.inf])
def test_what_is_no_number_is_beyond_every_limit(odd: float) -> None:
    found = mismatch([np.array([0.0, odd])])
    assert found == Mismatch(2, math.inf, math.inf, 0.0, (0, 1))


@given(st.lists(st.lists(st.floats(-5, 5), max_size=5), max_size=5))
def test_bounds(differences: list[list[float]]) -> None:
    arrays = [np.array(values, dtype=float) for values in differences]
    found = mismatch(arrays)
    assert 0 <= found.mean_nats <= found.max_nats + 1e-12
    assert 0 < found.ess_frac <= 1 + 1e-9
    if found.num_tokens:
        assert abs(arrays[found.largest[0]][found.largest[1]]) == found.max_nats
