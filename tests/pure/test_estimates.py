"""Intervals that cover, regret by hand, and what is missing stays missing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.pure.estimates import bootstrap, normalized_regret, problem_means

FRACTIONS = st.floats(0, 1)


def test_problem_means_by_hand() -> None:
    values = np.array([1.0, 0.0, np.nan, 1.0, np.nan])
    found = problem_means(values, np.array([0, 0, 0, 2, 3]), 4)
    assert found[[0, 2]].tolist() == [0.5, 1.0]
    assert np.isnan(found[[1, 3]]).all()


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


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    truth, num_trials = 0.3, 300
    drawn = rng.binomial(4, truth, size=(num_trials, 50)) / 4
    intervals = [bootstrap(values, 200, 0.9, trial) for trial, values in enumerate(drawn)]
    covered = np.mean([low <= truth <= high for _, low, high in intervals])
    assert 0.84 <= covered <= 0.94


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
    found = bootstrap(values, 100, 0.95, seed)
    assert found.mean == values.mean()
    assert values.min() - 1e-12 <= found.low <= found.high <= values.max() + 1e-12


@pytest.mark.parametrize(
    ("success", "budgets", "expected"),
    [
        ([1.0, 1.0, 1.0], [0, 10, 40], 0.0),
        ([0.0, 0.0, 0.0], [0, 10, 40], 1.0),
        ([0.0, 0.5, 1.0], [0, 20, 40], 0.5),
        ([0.0, 1.0, 1.0], [0, 10, 40], 0.125),
        ([0.0, 0.0, 1.0], [5, 25, 45], 0.75),
        ([0.3], [16], 0.7),
    ],
)
def test_normalized_regret_by_hand(success: list[float], budgets: list[int], expected: float) -> None:
    assert normalized_regret(np.array(success), np.array(budgets)) == pytest.approx(expected, abs=1e-12)


def test_normalized_regret_of_many_problems() -> None:
    found = normalized_regret(np.array([[0.0, 1.0], [1.0, 1.0], [np.nan, 1.0]]), np.array([0, 8]))
    assert found[:2].tolist() == [0.5, 0.0]
    assert math.isnan(found[2])


@given(arrays(np.float64, (2, 4), elements=FRACTIONS))
def test_normalized_regret_is_a_fraction_and_falls_with_success(pair: np.ndarray) -> None:
    worse, better = normalized_regret(np.sort(pair, axis=0), np.array([0, 3, 9, 30]))
    assert -1e-12 <= better <= worse + 1e-12
    assert worse <= 1 + 1e-12
