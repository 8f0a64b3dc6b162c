"""Progress telescopes, is never clipped, and knows its own noise."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.pure.agreement import widest_variance
from stages.pure.information import (
    answer_entropy,
    carried,
    carried_stderr,
    entropy_fall,
    information_gain,
    progress,
    progress_stderr,
    sampled_success,
    set_success,
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
def test_variance_of_answers_right_or_wrong_has_a_closed_form(rewards: list[float]) -> None:
    num_right, num_answers = sum(rewards), len(rewards)
    odds = (num_right + 1) * (num_answers - num_right + 1)
    expected = odds / (num_answers * (num_answers + 1) * (num_answers + 2))
    assert success_variance(np.array([*rewards, np.nan])) == pytest.approx(expected, abs=1e-12)


def test_variance_by_hand_with_partial_credit() -> None:
    """Halves with a 0 and a 1: squares of 1/2 twice, over 4, and 3 answers."""
    assert success_variance(np.array([0.5, 0.5, 0.5])) == pytest.approx(0.5 / 4 / 3, abs=1e-15)
    assert success_variance(np.array([0.25, 0.75])) == pytest.approx(0.625 / 3 / 2, abs=1e-15)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_partial_credit_varies_no_more_than_right_and_wrong_of_one_mean(
    rewards: list[float],
) -> None:
    total, num_answers = sum(rewards), len(rewards)
    most = (total + 1) * (num_answers - total + 1)
    most /= num_answers * (num_answers + 1) * (num_answers + 2)
    assert 0 < success_variance(np.array(rewards)) <= most + 1e-12


def chances(num_probes: int, success: float) -> np.ndarray:
    """Of each number of right answers, by enumeration."""
    return np.array(
        [
            math.comb(num_probes, right) * success**right * (1 - success) ** (num_probes - right)
            for right in range(num_probes + 1)
        ]
    )


def variances(num_probes: int) -> np.ndarray:
    """The variance stated for each number of right answers."""
    rewards = np.arange(num_probes) < np.arange(num_probes + 1)[:, None]
    return np.array([success_variance(row) for row in rewards.astype(float)])


def coverage(before: float, after: float, num_probes: int) -> float:
    """Chance of all draws in which Δ ± 1.96 standard errors holds the truth."""
    pairs = np.stack(np.meshgrid(*[variances(num_probes)] * 2, indexing="ij"), axis=-1)
    share = np.arange(num_probes + 1) / num_probes
    off = share - share[:, None] - (after - before)
    is_held = np.abs(off) <= 1.96 * progress_stderr(pairs)[..., 0]
    return float(chances(num_probes, before) @ is_held @ chances(num_probes, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [(0.02, 0.98), (0.05, 0.2), (0.5, 0.5), (0.1, 0.1), (0.2, 0.8), (0.5, 0.9), (0.0, 1.0)],
)
def test_the_error_stated_holds_the_truth_in_most_draws(before: float, after: float) -> None:
    """Every draw enumerated. At K = 2 and J = .5 one draw in eight is from all wrong to all right.

    There no estimate from two answers is nearer; a hit, from near 0 to near 1, is held in all.
    """
    for num_probes in (2, 4, 8, 16):
        held = coverage(before, after, num_probes)
        assert held >= (0.9 if num_probes > 2 else 0.875)
        if after - before > 0.9:
            assert held > 0.999


@pytest.mark.parametrize("num_probes", [2, 3, 4, 6, 8, 16])
def test_coverage_is_bounded_for_every_pair(num_probes: int) -> None:
    grid = np.linspace(0, 1, 21).tolist()
    least = min(coverage(before, after, num_probes) for before in grid for after in grid)
    assert least > (0.9 if num_probes > 2 else 0.87)


@given(st.integers(1, 16), st.floats(0, 1))
def test_the_variance_is_on_average_too_small_nowhere(num_probes: int, success: float) -> None:
    even = success * (1 - success)
    excess = (num_probes + 1 - (4 * num_probes + 2) * even) / (
        num_probes * (num_probes + 1) * (num_probes + 2)
    )
    stated = chances(num_probes, success) @ variances(num_probes)
    assert stated - even / num_probes == pytest.approx(excess, abs=1e-12)
    assert excess > 0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), min_size=1, max_size=12))
def test_no_rewards_of_equal_answers_make_the_variance_wider_than_it_may_be(
    drawn: list[tuple[int, float]],
) -> None:
    reward_of = dict(drawn)
    counts = np.array(sorted(Counter(answer for answer, _ in drawn).values(), reverse=True))
    rewards = np.array([reward_of[answer] for answer, _ in drawn])
    assert success_variance(rewards) * len(drawn) <= widest_variance(counts) + 1e-12


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


def test_carrying_by_hand() -> None:
    success, index = np.array([0.2, 0.8, 0.5]), np.array([0, 3, 4])
    assert carried(success, index).tolist() == [0.2, 0.2, 0.2, 0.8, 0.5]
    assert carried(np.array([0.7]), np.array([0])).tolist() == [0.7]
    errors = carried_stderr(np.array([0.09, 0.16, 0.25]), index)
    assert errors == pytest.approx([0, 0, 0.5, math.sqrt(0.41)])
    assert carried_stderr(np.array([0.1]), np.array([0])).shape == (0,)


def test_an_unknown_success_is_carried_to_the_next_probe_and_no_further() -> None:
    index = np.array([0, 2, 4, 6])
    success = carried(np.array([0.2, np.nan, 0.6, 0.8]), index)
    assert np.isnan(success).tolist() == [False, False, True, True, False, False, False]
    errors = carried_stderr(np.array([0.1, np.nan, 0.1, 0.1]), index)
    assert np.isnan(errors).tolist() == np.isnan(progress(success)).tolist()


@st.composite
def probed_curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Success at some boundaries, and which ones."""
    gaps = draw(st.lists(st.integers(1, 5), max_size=6))
    success = draw(arrays(np.float64, len(gaps) + 1, elements=st.floats(0, 1)))
    return success, np.cumsum([0, *gaps])


@given(probed_curves())
def test_carried_progress_telescopes_and_stands_where_a_probe_is(
    curve: tuple[np.ndarray, np.ndarray],
) -> None:
    success, index = curve
    every = carried(success, index)
    assert len(every) == index[-1] + 1
    assert every[index].tolist() == success.tolist()
    assert progress(every).sum() == pytest.approx(success[-1] - success[0], abs=1e-12)
    at_probes = progress(every)[index[1:] - 1]
    assert at_probes.tolist() == progress(success).tolist()
    assert np.count_nonzero(progress(every)) == np.count_nonzero(at_probes)


def test_carried_stderr_agrees_with_simulation() -> None:
    rng = np.random.default_rng(0)
    truth, index = np.array([0.3, 0.7, 0.6]), np.array([0, 3, 4])
    drawn = rng.binomial(8, truth, size=(20_000, 3)) / 8
    simulated = np.std(progress(carried(drawn, index)), axis=0)
    stated = carried_stderr(binomial(truth, [8, 8, 8]), index)
    assert simulated == pytest.approx(stated, rel=0.03)


def interpolated(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The wrong way: on a line between two boundaries probed."""
    return np.interp(np.arange(index[-1] + 1), index, values)


def thinned_gradient(
    fill: Callable[[np.ndarray, np.ndarray], np.ndarray], boundary_frac: float
) -> np.ndarray:
    """Expected gradient of credit to go, every stream and every choice of boundaries enumerated.

    A policy of four choices between two segments, its chances and J drawn for every prefix; the two
    boundaries at the ends are probed, each inside with chance `boundary_frac`.
    """
    rng, depth = np.random.default_rng(4), 4
    prefixes = [prefix for size in range(depth + 1) for prefix in product((0, 1), repeat=size)]
    chance = {prefix: rng.uniform(0.2, 0.8) for prefix in prefixes}
    success = {prefix: rng.uniform() for prefix in prefixes}
    inner = [prefix for prefix in prefixes if len(prefix) < depth]
    gradient = np.zeros(len(inner))
    for stream, kept in product(
        product((0, 1), repeat=depth), product((False, True), repeat=depth - 1)
    ):
        path = [stream[:size] for size in range(depth + 1)]
        taken = [chance[p] if z else 1 - chance[p] for p, z in zip(path, stream, strict=False)]
        drawn = [boundary_frac if is_kept else 1 - boundary_frac for is_kept in kept]
        index = np.flatnonzero([True, *kept, True])
        curve = fill(np.array([success[path[place]] for place in index]), index)
        to_go = progress(curve)[::-1].cumsum()[::-1]
        for credit, prefix, choice in zip(to_go, path, stream, strict=False):
            score = choice - chance[prefix]  # of the choice's log-probability, by its logit
            gradient[inner.index(prefix)] += np.prod([*taken, *drawn]) * score * credit
    return gradient


@pytest.mark.parametrize("boundary_frac", [0.0, 0.25, 0.5, 0.75])
def test_thinned_boundaries_leave_credit_to_go_unbiased_and_a_line_would_not(
    boundary_frac: float,
) -> None:
    whole = thinned_gradient(carried, 1.0)
    assert thinned_gradient(carried, boundary_frac) == pytest.approx(whole, abs=1e-12)
    off = thinned_gradient(interpolated, boundary_frac) - whole
    assert np.linalg.norm(off) > 0.05 * np.linalg.norm(whole)


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
