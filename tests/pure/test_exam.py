"""Several samples and several budgets, by hand and by brute force over all sets of samples."""

import math
from collections.abc import Sequence
from itertools import combinations
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.pure.exam import (
    best_of_k,
    best_temperature,
    error_frac,
    failure_bands,
    generation_verification_gap,
    majority_at_k,
    normalized_regret,
    pass_at_k,
    tokens_ratio,
    tokens_to_reach,
)

FRACTIONS = st.floats(0, 1)
UNPARSED = 0
ANSWERS = st.lists(st.integers(UNPARSED, 4), min_size=1, max_size=7).map(np.array)


def pass_at(num_correct: int, num_samples: int, k: int) -> float:
    return float(pass_at_k(np.array([num_correct]), np.array([num_samples]), k)[0])


def test_pass_at_k_is_unbiased() -> None:
    assert pass_at(2, 8, 4) == pytest.approx(1 - 15 / 70)  # 0.786
    assert (
        pytest.approx(0.684, abs=1e-3) == 1 - (1 - 2 / 8) ** 4
    )  # what resampling with replacement gives
    assert [pass_at(0, 4, 2), pass_at(4, 4, 2), pass_at(1, 4, 4), pass_at(1, 4, 1)] == [
        0,
        1,
        1,
        0.25,
    ]
    assert math.isnan(pass_at(1, 3, 4))


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_mean_over_all_sets(is_right: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(is_right)))
    expected = np.mean([any(chosen) for chosen in combinations(is_right, k)])
    assert pass_at(sum(is_right), len(is_right), k) == pytest.approx(expected, abs=1e-12)


def test_best_of_k_by_hand() -> None:
    scores, rewards = np.array([0.9, 0.5, 0.1]), np.array([0.0, 1.0, 1.0])
    assert best_of_k(scores, rewards, 1) == pytest.approx(2 / 3)
    assert best_of_k(scores, rewards, 2) == pytest.approx(
        1 / 3
    )  # of the pairs only (second, third) is right
    assert best_of_k(scores, rewards, 3) == 0.0
    assert best_of_k(np.array([0.5, 0.5, 0.1]), rewards, 3) == 0.5
    assert math.isnan(best_of_k(scores, rewards, 4))


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=7),
    st.data(),
)
def test_best_of_k_is_the_mean_over_all_sets(
    samples: list[tuple[float, bool]], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(samples)))

    def chosen(part: tuple[tuple[float, bool], ...]) -> float:
        highest = max(score for score, _ in part)
        return float(np.mean([is_right for score, is_right in part if score == highest]))

    expected = np.mean([chosen(part) for part in combinations(samples, k)])
    scores, rewards = np.array(samples, dtype=float).T
    assert best_of_k(scores, rewards, k) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_a_perfect_score_makes_best_of_k_pass_at_k(
    is_right: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(is_right)))
    rewards = np.array(is_right, dtype=float)
    assert best_of_k(rewards, rewards, k) == pytest.approx(
        pass_at(sum(is_right), len(is_right), k), abs=1e-12
    )


def test_majority_by_hand() -> None:
    answers = np.array([1, 1, 1, 2, 2])
    assert majority_at_k(answers, answers == 2, 5) == 0.0
    assert majority_at_k(answers, answers == 1, 5) == 1.0
    assert majority_at_k(answers, answers == 2, 3) == pytest.approx(
        3 / 10
    )  # both of the twos and one of three ones
    assert majority_at_k(answers, answers == 2, 4) == pytest.approx(
        3 / 5 / 2
    )  # two against two, split
    assert math.isnan(majority_at_k(answers, answers == 2, 6))


def test_unparsed_answers_vote() -> None:
    """Three of four answers cannot be read.

    Dropping them would make the lone right one the majority.
    """
    answers = np.array([UNPARSED, UNPARSED, UNPARSED, 1])
    assert majority_at_k(answers, answers == 1, 4) == 0.0
    readable = answers[answers != UNPARSED]
    assert majority_at_k(readable, readable == 1, 1) == 1.0


@given(ANSWERS, st.sets(st.integers(1, 4)), st.data())
def test_majority_is_the_mean_over_all_sets(
    answers: np.ndarray, right: set[int], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(answers)))
    is_right = np.isin(answers, list(right))

    def vote(part: tuple[int, ...]) -> float:
        counts = np.bincount(part)
        return float(
            np.mean([winner in right for winner in np.flatnonzero(counts == counts.max())])
        )

    expected = np.mean([vote(part) for part in combinations(answers.tolist(), k)])
    assert majority_at_k(answers, is_right, k) == pytest.approx(expected, abs=1e-12)
    if k <= 2:
        assert expected == pytest.approx(is_right.mean())


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
def test_regret_against_the_oracle_by_hand(
    success: list[float], budgets: list[int], expected: float
) -> None:
    regret = normalized_regret(np.array(success), np.array(budgets), np.ones(len(budgets)))
    assert regret == pytest.approx(expected, abs=1e-12)


def test_regret_against_the_best_observed_by_hand() -> None:
    budgets, best = np.array([0, 20, 40]), np.array([0.2, 0.4, 0.6])
    assert normalized_regret(best, budgets, best) == pytest.approx(0.0, abs=1e-12)
    assert normalized_regret(best / 4, budgets, best) == pytest.approx(0.75)
    assert math.isnan(normalized_regret(np.zeros(3), budgets, np.zeros(3)))


def test_regret_of_many_problems() -> None:
    regret = normalized_regret(
        np.array([[0.0, 1.0], [1.0, 1.0], [np.nan, 1.0]]), np.array([0, 8]), np.ones(2)
    )
    assert regret[:2].tolist() == [0.5, 0.0]
    assert math.isnan(regret[2])


@given(arrays(np.float64, (2, 4), elements=FRACTIONS))
def test_regret_is_a_fraction_and_falls_with_success(pair: np.ndarray) -> None:
    worse, better = normalized_regret(np.sort(pair, axis=0), np.array([0, 3, 9, 30]), np.ones(4))
    assert -1e-12 <= better <= worse + 1e-12
    assert worse <= 1 + 1e-12


@pytest.mark.parametrize(
    ("level", "expected"),
    [(0.05, 0.0), (0.1, 0.0), (0.2, 5.0), (0.3, 10.0), (0.4, 20.0), (0.51, math.inf)],
)
def test_tokens_to_reach_by_hand(level: float, expected: float) -> None:
    """The curve falls between 30 and 60 tokens: what it reached before counts."""
    success, budgets = np.array([0.1, 0.3, 0.5, 0.2]), np.array([0, 10, 30, 60])
    assert tokens_to_reach(success, budgets, level) == pytest.approx(expected)


def test_tokens_to_reach_of_many_curves_and_of_unknown_ones() -> None:
    curves = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [np.nan, np.nan]])
    assert tokens_to_reach(curves, np.array([0, 8]), 0.5).tolist() == [4.0, 0.0, math.inf, math.inf]


@given(arrays(np.float64, 4, elements=FRACTIONS), FRACTIONS)
def test_success_at_the_tokens_found_is_the_level(success: np.ndarray, level: float) -> None:
    budgets = np.array([0, 3, 9, 30])
    tokens = float(tokens_to_reach(success, budgets, level))
    if math.isinf(tokens):
        assert success.max() < level
    elif success[0] >= level:
        assert tokens == 0
    else:
        assert np.interp(tokens, budgets, success) == pytest.approx(level, abs=1e-9)


def test_tokens_ratio_by_hand() -> None:
    budgets = np.array([0, 40])
    slow, fast, never, known = np.array([[0.0, 0.5], [0.0, 1.0], [0.0, 0.1], [0.5, 0.5]])
    assert tokens_ratio(slow, fast, budgets, 0.5) == 0.5
    assert tokens_ratio(slow, never, budgets, 0.5) == math.inf
    assert tokens_ratio(never, slow, budgets, 0.5) == 0.0
    assert tokens_ratio(known, slow, budgets, 0.5) == math.inf
    assert math.isnan(tokens_ratio(never, never, budgets, 0.5))
    assert math.isnan(tokens_ratio(known, known, budgets, 0.5))


def test_verification_is_weighed_the_same_for_hits_and_misses() -> None:
    """Nine attempts in ten miss.

    Calling everything wrong is right nine times in ten, and worth nothing.
    """
    hit_frac = np.array(0.1)
    assert generation_verification_gap(np.array(0.0), np.array(1.0), hit_frac) == pytest.approx(0.4)
    assert generation_verification_gap(np.array(0.0), np.array(0.0), hit_frac) == pytest.approx(0.9)
    assert generation_verification_gap(np.array(0.2), np.array(0.4), hit_frac) == pytest.approx(0.6)


def test_an_error_share_of_nothing_is_unknown() -> None:
    assert error_frac(np.array([1.0, 0.0]), np.array([4.0, 2.0])).tolist() == [0.25, 0.0]
    assert math.isnan(error_frac(np.array(0.0), np.array(0.0)))


def test_failure_bands_by_hand() -> None:
    assert failure_bands(np.array([0.9, 0.1, 0.5, 0.2, 0.6, 1.0]), 3).tolist() == [2, 0, 1, 0, 1, 2]
    assert failure_bands(np.array([1.0, 0.0, np.nan, 0.5]), 3).tolist() == [2, 0, -1, 1]
    assert failure_bands(np.array([1.0, 1.0, 1.0]), 3).tolist() == [1, 1, 1]
    assert failure_bands(np.array([np.nan]), 3).tolist() == [-1]
    assert failure_bands(np.array([]), 3).tolist() == []


@given(arrays(np.float64, st.integers(1, 20), elements=FRACTIONS), st.integers(1, 4))
def test_failure_bands_rise_with_failure_and_keep_ties_together(
    failure: np.ndarray, num_bands: int
) -> None:
    bands = failure_bands(failure, num_bands)
    assert bands.min() >= 0
    assert bands.max() < num_bands
    order = np.argsort(failure)
    assert (np.diff(bands[order])[np.diff(failure[order]) == 0] == 0).all()
    assert (np.diff(bands[order]) >= 0).all()


NAN = float("nan")


ASKED = (1.0, 0.6, 0.35)


def best(*rows: tuple[float, str, float], temperatures: Sequence[float] = ASKED) -> float:
    """The best temperature by rows of temperature, problem and reward."""
    sampled_at = np.array([row[0] for row in rows], np.float32)
    problems = np.array([row[1] for row in rows], str)
    rewards = np.array([row[2] for row in rows], float)
    return best_temperature(rewards, problems, sampled_at, temperatures)


def test_the_best_temperature_by_hand() -> None:
    """At 1 problems have 1/2 and 0, at .6 one has 1 of 1, the other none: means 1/4 and 1/2."""
    warm = [(1.0, "a", 1.0), (1.0, "a", 0.0), (1.0, "b", 0.0)]
    cooler = [(0.6, "a", 1.0), (0.6, "b", 0.0), (0.6, "b", NAN)]
    assert best(*warm, *cooler) == 0.6
    # Problems weigh the same: three answers of one, all right, are worth one answer.
    assert best(*cooler, *[(0.35, "a", 1.0)] * 3, (0.35, "b", 0.0), (0.35, "c", 0.0)) == 0.6


def test_of_equal_temperatures_the_higher_is_the_best() -> None:
    rows = [(0.35, "a", 1.0), (0.6, "a", 1.0), (1.0, "a", 0.0)]
    assert best(*rows) == best(*rows[::-1]) == 0.6
    assert best(*rows, temperatures=[0.35, 1.0, 0.6]) == 0.6


def test_without_a_reward_the_first_temperature_is_taken() -> None:
    assert best() == 1.0
    assert best(temperatures=[0.35, 1.0]) == 0.35
    assert best((1.0, "a", NAN), (0.6, "a", NAN)) == 1.0
    assert best((0.35, "a", 0.0), (1.0, "a", NAN)) == 0.35  # the only one that is known


@given(
    st.lists(st.tuples(st.sampled_from([1.0, 0.35]), st.sampled_from("abc"), FRACTIONS)),
    st.randoms(),
)
def test_the_order_of_answers_changes_no_choice(rows: list[Any], random: Random) -> None:
    mixed = random.sample(rows, len(rows))
    assert best(*mixed) == best(*rows)
