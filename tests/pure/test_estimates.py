"""Intervals cover as often as they say: means, ratios, differences, repeated experiments."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.pure.estimates import Estimate, bootstrap, bootstrap_of_means, bootstrap_seeds

FRACTIONS = st.floats(0, 1)
SHARES = st.integers(0, 8).map(lambda count: count / 8)


def test_bootstrap_of_equal_problems_is_a_point() -> None:
    assert bootstrap(np.full(9, 0.25), 100, 0.95, 0) == (0.25, 0.25, 0.25)


def test_bootstrap_repeats_by_seed() -> None:
    values = np.random.default_rng(0).random(30)
    assert bootstrap(values, 200, 0.95, 1) == bootstrap(values, 200, 0.95, 1)
    assert bootstrap(values, 200, 0.95, 1)[1:] != bootstrap(values, 200, 0.95, 2)[1:]


def test_bootstrap_leaves_problems_without_a_value_out() -> None:
    values = np.array([0.0, 1.0, 1.0, 0.0])
    assert bootstrap(np.append(values, np.nan), 200, 0.9, 3) == bootstrap(values, 200, 0.9, 3)
    assert bootstrap(values, 200, 0.9, 3).mean == 0.5
    with pytest.raises(ValueError, match="no problem has a value"):
        bootstrap(np.array([np.nan]), 200, 0.9, 3)


def covered_frac(interval: Callable[[int], Estimate], truth: float, num_trials: int = 400) -> float:
    intervals = [interval(trial) for trial in range(num_trials)]
    return float(np.mean([low - 1e-12 <= truth <= high + 1e-12 for _, low, high in intervals]))


def exam(
    rng: np.random.Generator, success: float, num_problems: int, num_samples: int
) -> np.ndarray:
    """Shares of right answers on problems as different as Beta(2p, 2(1 - p)) makes them."""
    chances = rng.beta(2 * success, 2 * (1 - success), size=num_problems)
    return rng.binomial(num_samples, chances) / num_samples


@pytest.mark.parametrize(("success", "num_samples"), [(0.05, 4), (0.3, 2), (0.9, 2)])
def test_intervals_cover_the_truth_as_often_as_they_say(success: float, num_samples: int) -> None:
    def interval(trial: int) -> Estimate:
        values = exam(np.random.default_rng([7, trial]), success, 100, num_samples)
        return bootstrap(values, 300, 0.95, 1)

    assert 0.92 <= covered_frac(interval, success) <= 0.98  # 400 trials: a standard error of 0.011


def test_few_problems_are_covered_too() -> None:
    """Of ten normal problems, whose exact interval is known, a percentile bootstrap covers 90%."""
    draws = np.random.default_rng(3).normal(size=(400, 10))
    resampled = draws[:, np.random.default_rng(4).integers(10, size=(300, 10))].mean(axis=2)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    assert np.mean((low <= 0) & (high >= 0)) < 0.92
    assert covered_frac(lambda trial: bootstrap(draws[trial], 300, 0.95, 1), 0.0) > 0.92


def test_a_ratio_is_covered() -> None:
    """False verdicts per judged attempt: problems differ in how many attempts they have."""

    def interval(trial: int) -> Estimate:
        rng = np.random.default_rng([8, trial])
        judged = rng.poisson(5, size=100)
        counts = np.stack([rng.binomial(judged, 0.1), judged], axis=1).astype(float)
        return bootstrap_of_means(
            [counts], lambda means: means[..., 0] / means[..., 1], 300, 0.95, 1
        )

    assert 0.92 <= covered_frac(interval, 0.1) <= 0.98


def test_an_unpaired_difference_is_covered() -> None:
    def interval(trial: int) -> Estimate:
        rng = np.random.default_rng([9, trial])
        samples = [
            exam(rng, success, size, 2)[:, None] for success, size in ((0.5, 20), (0.4, 200))
        ]
        return bootstrap_of_means(
            samples, lambda means: means[..., 0] - means[..., 1], 300, 0.95, 1
        )

    assert 0.92 <= covered_frac(interval, 0.1) <= 0.98


def repeated(
    rng: np.random.Generator, num_seeds: int, shared: np.ndarray, effect: float
) -> np.ndarray:
    """Success of each seed's policy on shared problems: seeds differ by 0.05, answers add noise."""
    chances = np.clip(shared + effect + 0.05 * rng.normal(size=(num_seeds, 1)), 0, 1)
    return rng.binomial(2, chances) / 2


def test_seeds_are_covered_where_problems_alone_are_not() -> None:
    """Means of equal seeds: an interval over problems alone takes a lucky seed for an effect."""

    def experiments(trial: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([10, trial])
        shared = rng.uniform(0.2, 0.8, size=200)
        return repeated(rng, 3, shared, 0.0), repeated(rng, 3, shared, 0.0)

    def of_problems(trial: int) -> Estimate:
        earlier, later = experiments(trial)
        return bootstrap(later.mean(axis=0) - earlier.mean(axis=0), 200, 0.95, 1)

    assert covered_frac(of_problems, 0.0) < 0.75
    assert (
        covered_frac(lambda trial: bootstrap_seeds(*experiments(trial), 200, 0.95, 1), 0.0) >= 0.92
    )


def test_a_wider_interval_is_asked_for_and_given() -> None:
    values = np.random.default_rng(0).random(40)
    narrow, wide = (bootstrap(values, 400, confidence, 1) for confidence in (0.6, 0.99))
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_pairing_cancels_what_problems_have_in_common() -> None:
    rng = np.random.default_rng(1)
    hardness = rng.random(60)
    before, after = hardness + 0.02 * rng.random(60), hardness + 0.1 + 0.02 * rng.random(60)
    paired = bootstrap(after - before, 300, 0.95, 1)
    alone = bootstrap(after, 300, 0.95, 1)
    assert paired.low > 0.09
    assert paired.high - paired.low < 0.1 * (alone.high - alone.low)


@given(arrays(np.float64, st.integers(1, 12), elements=FRACTIONS), st.integers(0, 99))
def test_the_mean_lies_within_its_values(values: np.ndarray, seed: int) -> None:
    estimate = bootstrap(values, 100, 0.95, seed)
    assert estimate.mean == pytest.approx(values.mean(), abs=1e-12)
    assert values.min() - 1e-12 <= estimate.low <= estimate.high <= values.max() + 1e-12


def test_columns_side_by_side_are_a_paired_comparison() -> None:
    pairs = np.random.default_rng(2).random((40, 2))
    estimate = bootstrap_of_means([pairs], lambda means: means[..., 1] - means[..., 0], 300, 0.9, 4)
    assert estimate == pytest.approx(bootstrap(pairs[:, 1] - pairs[:, 0], 300, 0.9, 4), abs=1e-12)


def test_unknown_entries_are_left_out_of_their_column_alone() -> None:
    columns = np.array([[1.0, 0.5], [np.nan, 0.5], [0.0, 0.5]])
    assert bootstrap_of_means([columns], lambda means: means.sum(axis=-1), 200, 0.9, 1).mean == 1.0
    with pytest.raises(ValueError, match="no problem has a value"):
        bootstrap_of_means([np.full((3, 1), np.nan)], lambda means: means[..., 0], 200, 0.9, 1)


def test_resamples_without_a_value_are_left_out() -> None:
    """Of three problems one was judged: resamples without it have no ratio, the others the same."""
    counts = np.array([[1.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    with np.errstate(invalid="ignore", divide="ignore"):
        estimate = bootstrap_of_means(
            [counts], lambda means: means[..., 0] / means[..., 1], 200, 0.9, 1
        )
    assert estimate == (0.25, 0.25, 0.25)


def test_an_infinite_statistic_stays_infinite() -> None:
    def tokens(means: np.ndarray) -> np.ndarray:
        return np.where(means[..., 0] >= 0.5, 10.0, np.inf)

    estimate = bootstrap_of_means(
        [np.array([[0.0], [0.0], [1.0], [1.0], [0.0]])], tokens, 300, 0.9, 1
    )
    assert estimate == (math.inf, 10.0, math.inf)


def test_intervals_lean_towards_the_long_tail() -> None:
    """One success in fifty: resampling says 0 to 3, the truth may well be higher."""
    values = np.zeros(50)
    values[0] = 1
    estimate = bootstrap(values, 2000, 0.95, 1)
    assert estimate.high - estimate.mean > estimate.mean - estimate.low
    assert estimate.high >= 0.08


@given(arrays(np.float64, (3, 6), elements=SHARES), arrays(np.float64, (2, 6), elements=SHARES))
def test_the_difference_of_repeated_experiments(earlier: np.ndarray, later: np.ndarray) -> None:
    estimate = bootstrap_seeds(earlier, later, 100, 0.95, 0)
    assert estimate.mean == pytest.approx(later.mean() - earlier.mean(), abs=1e-12)
    assert -1 <= estimate.low <= estimate.high <= 1
    turned = bootstrap_seeds(later, later, 100, 0.95, 0)
    assert turned.low <= 0 <= turned.high


def test_rounding_keeps_what_json_can_hold() -> None:
    rounded = Estimate(-0.00001, math.inf, 0.123456).rounded()
    assert rounded == {"mean": 0.0, "low": None, "high": 0.1235}
    assert str(rounded["mean"]) == "0.0"
    assert Estimate(math.nan, 0.0, 1.0).rounded()["mean"] is None


def test_repeated_experiments_by_hand() -> None:
    """Equal problems, two seeds each 1/4 apart: differences of two means of two draws."""
    earlier, later = (
        np.array([[0.25], [0.5]]) @ np.ones((1, 4)),
        np.array([[0.75], [1.0]]) @ np.ones((1, 4)),
    )
    assert bootstrap_seeds(earlier, later, 400, 0.95, 1) == (0.5, 0.25, 0.75)
    assert bootstrap_seeds(earlier[:1], later[:1], 400, 0.95, 1) == (0.5, 0.5, 0.5)
    hidden = np.where(np.arange(4) == 2, np.nan, later)
    assert bootstrap_seeds(earlier, hidden, 400, 0.95, 1).mean == 0.5
    with pytest.raises(ValueError, match="no problem has a value under every seed"):
        bootstrap_seeds(earlier, np.full((1, 4), np.nan), 400, 0.95, 1)
