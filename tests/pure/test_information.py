"""Progress telescopes, is never clipped, and knows its own noise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.pure.information import information_gain, progress, progress_stderr, sampled_success, set_success

CURVES = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))
TWO_POINTS = arrays(np.float64, 2, elements=st.floats(1e-6, 1))


def noisy_success(num_traces: int, num_boundaries: int, num_probes: int, success: float) -> np.ndarray:
    """Estimates of a success that never changes, [trace, boundary]."""
    rng = np.random.default_rng(5)
    return rng.binomial(num_probes, success, size=(num_traces, num_boundaries)) / num_probes


def test_set_success_adds_probabilities() -> None:
    assert set_success(np.log([0.25, 0.5])) == pytest.approx(0.75)
    assert set_success(np.array([])) == 0.0
    assert set_success(np.array([-np.inf])) == 0.0


def test_set_success_holds_rounding_at_one() -> None:
    assert set_success(np.array([math.log(0.5), math.log(0.5), -30.0])) == 1.0


@given(arrays(np.float64, st.integers(0, 9), elements=st.floats(-50, 0)))
def test_set_success_is_a_probability(logprobs: np.ndarray) -> None:
    assert 0.0 <= set_success(logprobs) <= 1.0


def test_sampled_success_leaves_failed_verifiers_out() -> None:
    assert sampled_success(np.array([1.0, 0.0, np.nan, 1.0])) == pytest.approx(2 / 3)
    assert math.isnan(sampled_success(np.array([np.nan, np.nan])))
    assert math.isnan(sampled_success(np.array([])))


def test_progress_by_hand() -> None:
    assert progress(np.array([0.2, 0.5, 0.4])) == pytest.approx([0.3, -0.1])
    assert progress(np.array([0.7])).shape == (0,)


def test_a_planted_loss_stays_negative() -> None:
    assert progress(np.array([0.95, 0.05, 0.95])) == pytest.approx([-0.9, 0.9])


@given(CURVES)
def test_progress_telescopes(success: np.ndarray) -> None:
    assert progress(success).sum() == pytest.approx(success[-1] - success[0], abs=1e-12)


@given(CURVES)
def test_progress_is_within_one(success: np.ndarray) -> None:
    assert (np.abs(progress(success)) <= 1).all()


@given(st.integers(1, 9), st.floats(0, 1))
def test_constant_success_is_no_progress(num_segments: int, success: float) -> None:
    assert (progress(np.full(num_segments + 1, success)) == 0).all()


def test_useless_segments_earn_nothing_on_average_where_clipping_would_pay_them() -> None:
    estimates = noisy_success(num_traces=4000, num_boundaries=6, num_probes=4, success=0.5)
    earned = np.concatenate([progress(trace) for trace in estimates])
    assert abs(earned.mean()) < 0.005
    assert np.maximum(0, earned).mean() > 0.05
    assert (earned < 0).mean() > 0.25


@pytest.mark.parametrize(("num_probes", "expected"), [(4, 0.35), (8, 0.25), (20, 0.16)])
def test_stderr_at_even_odds(num_probes: int, expected: float) -> None:
    found = progress_stderr(np.array([0.5, 0.5]), np.array([num_probes, num_probes]))
    assert found == pytest.approx([math.sqrt((0.25 + 0.25) / num_probes)], abs=1e-12)
    assert found == pytest.approx([expected], abs=0.005)


def test_stderr_by_hand_with_unequal_probes() -> None:
    found = progress_stderr(np.array([0.5, 0.75, 1.0]), np.array([4, 8, 2]))
    assert found == pytest.approx([0.29315098498896436, 0.15309310892394862], abs=1e-12)


@pytest.mark.parametrize(("before", "after", "num_probes"), [(0.5, 0.5, 4), (0.2, 0.7, 8), (0.9, 0.4, 20)])
def test_stderr_agrees_with_simulation(before: float, after: float, num_probes: int) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.binomial(num_probes, [before, after], size=(40_000, 2)) / num_probes
    simulated = np.std([progress(pair)[0] for pair in drawn])
    stated = progress_stderr(np.array([before, after]), np.array([num_probes, num_probes]))[0]
    assert simulated == pytest.approx(stated, rel=0.02)


def test_stderr_without_probes_is_unknown_not_zero() -> None:
    found = progress_stderr(np.array([0.5, 0.5, 0.5]), np.array([4, 0, 4]))
    assert np.isnan(found).all()
    assert np.isnan(progress_stderr(np.array([np.nan, 0.5]), np.array([0, 4]))).all()


def test_information_gain_by_hand() -> None:
    found = information_gain(np.log([0.25, 0.5, 0.1]))
    assert found == pytest.approx([math.log(2), math.log(0.2)])
    assert information_gain(np.array([-np.inf, -1.0]))[0] == np.inf


@given(arrays(np.float64, st.integers(1, 9), elements=st.floats(-50, 0)))
def test_information_gain_telescopes(logprobs: np.ndarray) -> None:
    assert information_gain(logprobs).sum() == pytest.approx(logprobs[-1] - logprobs[0], abs=1e-9)


@given(TWO_POINTS)
def test_information_gain_and_progress_have_one_sign(success: np.ndarray) -> None:
    gained, made = information_gain(np.log(success))[0], progress(success)[0]
    assert gained * made >= 0
    if abs(made) > 1e-9:
        assert np.sign(gained) == np.sign(made)
