"""Curves whose ceiling and half way are known are given back; flat and falling ones too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.saturation import fit, saturation, sigmoid

ROUNDS = np.array([0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0])


def test_half_of_the_way_is_gone_at_half() -> None:
    values = sigmoid(np.array([0.0, 6.0, 18.0]), 0.2, 0.6, 6.0, 1.0)
    np.testing.assert_allclose(values, [0.2, 0.4, 0.2 + 0.4 * 0.75])


@given(
    start=st.floats(0.1, 0.5),
    gain=st.floats(0.1, 0.4),
    half=st.floats(2.0, 20.0),
    steepness=st.floats(0.7, 3.0),
)
def test_a_curve_without_noise_is_found_again(
    start: float, gain: float, half: float, steepness: float
) -> None:
    ceiling, found = fit(sigmoid(ROUNDS, start, start + gain, half, steepness), ROUNDS)
    assert ceiling == pytest.approx(start + gain, abs=2e-3)
    assert found == pytest.approx(half, rel=2e-2)


def test_a_flat_curve_ends_where_it_began() -> None:
    assert fit(np.full(7, 0.4), ROUNDS)[0] == pytest.approx(0.4, abs=1e-6)


def test_a_falling_curve_ends_below_its_start() -> None:
    assert fit(np.linspace(0.5, 0.3, 7), ROUNDS)[0] < 0.31


def test_the_interval_holds_what_the_runs_were_drawn_from() -> None:
    rng = np.random.default_rng(3)
    truth = sigmoid(ROUNDS, 0.4, 0.7, 5.0, 1.5)
    of_run = truth + rng.normal(0, 0.01, (6, 1))
    success = (rng.random((6, 7, 400)) < of_run[..., None]).astype(float)
    found = saturation(success, ROUNDS, num_resamples=100, confidence=0.95, seed=1)
    assert 0.6 < found.ceiling.low < 0.7 < found.ceiling.high
    assert found.half_rounds.low < 5.0 < found.half_rounds.high
    assert found.unseen_frac < 0.1


def test_a_line_has_its_half_way_beyond_what_was_seen() -> None:
    success = np.linspace(0.2, 0.5, 7)[None, :, None].repeat(3, axis=0)
    found = saturation(success, ROUNDS, num_resamples=5, confidence=0.95, seed=1)
    assert found.half_rounds.mean > 24
