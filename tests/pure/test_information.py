"""Progress telescopes, is never clipped, and knows its own noise."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.pure.agreement import widest_stderr
from stages.pure.information import (
    answer_entropy,
    entropy_fall,
    information_gain,
    interpolated,
    progress,
    progress_stderr,
    sampled_success,
    set_success,
    spread_evenly,
    success_variance,
)

CURVES = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))
TWO_POINTS = arrays(np.float64, 2, elements=st.floats(1e-6, 1))


def noisy_success(
    num_traces: int, num_boundaries: int, num_probes: int, success: float
) -> np.ndarray:
    """Estimates of a success that never changes, [trace, boundary]."""
    rng = np.random.default_rng(5)
    return rng.binomial(num_probes, success, size=(num_traces, num_boundaries)) / num_probes


def binomial(success: Sequence[float], num_probes: Sequence[int]) -> np.ndarray:
    """J (1 − J) / K, the variance of a share of right answers."""
    share = np.asarray(success)
    return share * (1 - share) / np.asarray(num_probes)


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
    stderr = progress_stderr(binomial([0.5, 0.5], [num_probes, num_probes]))
    assert stderr == pytest.approx([math.sqrt((0.25 + 0.25) / num_probes)], abs=1e-12)
    assert stderr == pytest.approx([expected], abs=0.005)


def test_stderr_by_hand_with_unequal_probes() -> None:
    stderr = progress_stderr(binomial([0.5, 0.75, 1.0], [4, 8, 2]))
    assert stderr == pytest.approx([0.29315098498896436, 0.15309310892394862], abs=1e-12)


@pytest.mark.parametrize(
    ("before", "after", "num_probes"), [(0.5, 0.5, 4), (0.2, 0.7, 8), (0.9, 0.4, 20)]
)
def test_stderr_agrees_with_simulation(before: float, after: float, num_probes: int) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.binomial(num_probes, [before, after], size=(40_000, 2)) / num_probes
    simulated = np.std([progress(pair)[0] for pair in drawn])
    stated = progress_stderr(binomial([before, after], [num_probes, num_probes]))[0]
    assert simulated == pytest.approx(stated, rel=0.02)


def test_stderr_without_probes_is_unknown_not_zero() -> None:
    assert np.isnan(success_variance(np.array([])))
    assert np.isnan(success_variance(np.array([np.nan])))
    assert np.isnan(progress_stderr(np.array([0.1, np.nan, 0.1]))).all()


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=20))
def test_variance_is_binomial_where_answers_are_right_or_wrong(rewards: list[float]) -> None:
    share = sum(rewards) / len(rewards)
    variance = success_variance(np.array([*rewards, np.nan]))
    assert variance == pytest.approx(binomial([share], [len(rewards)])[0], abs=1e-12)


def test_variance_by_hand_with_partial_credit() -> None:
    assert success_variance(np.array([0.5, 0.5, 0.5])) == 0
    assert success_variance(np.array([0.25, 0.75])) == pytest.approx(0.0625 / 2, abs=1e-15)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=12))
def test_no_rewards_of_equal_answers_make_the_error_wider_than_it_may_be(
    drawn: list[tuple[int, float]],
) -> None:
    reward_of = dict(drawn)
    counts = np.array(sorted(Counter(answer for answer, _ in drawn).values(), reverse=True))
    rewards = np.array([reward_of[answer] for answer, _ in drawn])
    assert math.sqrt(success_variance(rewards)) <= widest_stderr(counts) + 1e-12


def test_information_gain_by_hand() -> None:
    nats = information_gain(np.log([0.25, 0.5, 0.1]))
    assert nats == pytest.approx([math.log(2), math.log(0.2)])
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


def test_interpolation_by_hand() -> None:
    success, index = np.array([0.2, 0.8, 0.5]), np.array([0, 3, 4])
    assert interpolated(success, index) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.5])
    assert spread_evenly(np.array([0.6, -0.3]), index) == pytest.approx([0.2, 0.2, 0.2, -0.3])
    assert interpolated(np.array([0.7]), np.array([0])).tolist() == [0.7]
    assert spread_evenly(np.array([]), np.array([0])).shape == (0,)


def test_an_unknown_success_is_carried_to_its_neighbours_and_no_further() -> None:
    success = interpolated(np.array([0.2, np.nan, 0.6, 0.8]), np.array([0, 2, 4, 6]))
    assert np.isnan(success).tolist() == [False, True, True, True, False, False, False]
    assert success[[0, 4, 5, 6]] == pytest.approx([0.2, 0.6, 0.7, 0.8])


@st.composite
def probed_curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Success at some boundaries, and which ones."""
    gaps = draw(st.lists(st.integers(1, 5), max_size=6))
    success = draw(arrays(np.float64, len(gaps) + 1, elements=st.floats(0, 1)))
    return success, np.cumsum([0, *gaps])


@given(probed_curves())
def test_interpolated_progress_telescopes_and_is_spread_evenly(
    curve: tuple[np.ndarray, np.ndarray],
) -> None:
    success, index = curve
    every = interpolated(success, index)
    assert len(every) == index[-1] + 1
    assert every[index] == pytest.approx(success, abs=1e-15)
    assert progress(every).sum() == pytest.approx(success[-1] - success[0], abs=1e-12)
    assert progress(every) == pytest.approx(spread_evenly(progress(success), index), abs=1e-12)


def test_interpolated_stderr_agrees_with_simulation() -> None:
    """Between boundaries 0 and 3, of 8 answers each, every segment has a third of the error."""
    rng = np.random.default_rng(0)
    truth, index = np.array([0.3, 0.7, 0.6]), np.array([0, 3, 4])
    drawn = rng.binomial(8, truth, size=(20_000, 3)) / 8
    simulated = np.std([progress(interpolated(row, index)) for row in drawn], axis=0)
    stated = spread_evenly(progress_stderr(binomial(truth, [8, 8, 8])), index)
    assert simulated == pytest.approx(stated, rel=0.03)


def test_entropy_by_hand() -> None:
    """Three answers of four: plug-in 1.5 ln 2, and 2 / 8 for the three seen."""
    assert answer_entropy(np.array([2, 1, 1])) == pytest.approx(1.5 * math.log(2) + 0.25)
    assert answer_entropy(np.array([5])) == 0
    assert answer_entropy(np.array([2, 0])) == 0
    assert math.isnan(answer_entropy(np.array([], dtype=np.int64)))
    assert entropy_fall(np.array([1.5, 0.5, 0.75])) == pytest.approx([1.0, -0.25])


def test_the_correction_takes_most_of_the_plug_in_bias() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(16, [0.25] * 4, size=5000)
    corrected = np.mean([answer_entropy(row) for row in drawn])
    plug_in = np.mean([answer_entropy(row) - (np.count_nonzero(row) - 1) / 32 for row in drawn])
    assert plug_in - math.log(4) == pytest.approx(-3 / 32, abs=0.015)
    assert abs(corrected - math.log(4)) < 0.015


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_entropy_is_not_negative_and_knows_no_order(counts: list[int]) -> None:
    entropy = answer_entropy(np.array(counts))
    assert entropy >= 0
    assert entropy == pytest.approx(answer_entropy(np.array(counts[::-1])), abs=1e-12)


def test_certainty_of_a_wrong_answer_has_information_but_no_progress() -> None:
    """Why the entropy's fall is gated by success: four answers at odds may become one wrong one."""
    entropy = np.array([answer_entropy(np.array([1, 1, 1, 1])), answer_entropy(np.array([4]))])
    success = np.array([0.0, 0.0])
    assert entropy_fall(entropy)[0] > 1
    assert (entropy_fall(entropy) * success[1:]).tolist() == [0.0]
    assert progress(success).tolist() == [0.0]


def adaptive_success(rng: np.random.Generator, success: float, num_rollouts: int) -> np.ndarray:
    """Four answers, right or wrong, and four more where they do not agree."""
    first, more = (rng.binomial(4, success, num_rollouts) for _ in range(2))
    is_certain = np.isin(first, [0, 4])
    return np.where(is_certain, first / 4, (first + more) / 8)


def test_stopping_at_agreement_pulls_success_outwards_but_pays_no_useless_segment() -> None:
    """At J = .1 the mean estimate is .067; between two boundaries of the same J it cancels."""
    rng = np.random.default_rng(0)
    before, after = (adaptive_success(rng, 0.1, 200_000) for _ in range(2))
    assert before.mean() == pytest.approx(0.0672, abs=0.002)
    assert abs((after - before).mean()) < 0.002
