"""Budget and difficulty to train on next: by hand, and where the exam says nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.evaluate.curriculum import DOUBLING_GAIN, coupled_budget, next_difficulty

GRID = np.array([0, 9, 18, 36, 72, 144])


def budget(success: list[float], grid: np.ndarray = GRID) -> int | None:
    return coupled_budget(np.array(success), grid, DOUBLING_GAIN)


def test_the_least_budget_that_doubling_hardly_helps() -> None:
    assert budget([0.0, 0.1, 0.2, 0.3, 0.35, 0.36]) == 36  # doublings gain 2, 1.5, 1.17
    assert budget([0.3, 0.3, 0.3, 0.3, 0.3, 0.3]) == 9
    assert (
        budget([0.0, 0.1, 0.12, 0.3, 0.6, 0.9]) == 9
    )  # 1.2 is no more than 1.2; what comes later does not matter


def test_a_budget_at_which_nothing_succeeds_is_not_enough() -> None:
    """0 is no more than 1.2 times 0, yet says nothing of how long search must be."""
    assert budget([0.0, 0.0, 0.0, 0.1, 0.11, 0.11]) == 36


def test_success_that_still_rises_asks_for_the_longest_budget() -> None:
    assert budget([0.0, 0.1, 0.2, 0.4, 0.6, 0.8]) == 144


def test_a_double_between_two_budgets_is_interpolated() -> None:
    grid = np.array([0, 10, 30, 50])
    assert budget([0.0, 0.2, 0.4, 0.4], grid) == 50  # J(20) = 0.3; 30 cannot be doubled
    assert budget([0.0, 0.2, 0.24, 0.4], grid) == 10  # J(20) = 0.22


@pytest.mark.parametrize(
    ("success", "grid"),
    [
        ([0.0] * 6, GRID),
        ([0.5], np.array([72])),
        ([0.5, 0.6], np.array([0, 72])),
        ([0.5, 0.6], np.array([40, 72])),
    ],
)
def test_an_exam_that_says_nothing_gives_no_budget(success: list[float], grid: np.ndarray) -> None:
    assert budget(success, grid) is None


@given(arrays(np.float64, 6, elements=st.floats(0.01, 1)), st.floats(1, 3), st.floats(0, 2))
def test_a_greater_gain_allowed_never_asks_for_more(
    success: np.ndarray, gain: float, more: float
) -> None:
    strict, lenient = (
        coupled_budget(success, GRID, gain),
        coupled_budget(success, GRID, gain + more),
    )
    assert strict is not None
    assert lenient is not None
    assert lenient <= strict


@pytest.mark.parametrize(
    ("best_success", "expected"),
    [
        ({3: 0.5, 4: 0.2}, 3),
        ({4: 0.2, 3: 0.8}, 4),
        ({3: 0.8, 4: 0.9}, 4),
        ({3: 0.8, 4: 0.0, 5: 0.0}, 3),
        ({3: 0.8, 4: 0.0, 5: 0.1}, 5),
        ({3: 0.0, 4: 0.0}, None),
        ({}, None),
    ],
)
def test_the_easiest_difficulty_not_yet_mastered(
    best_success: dict[int, float], expected: int | None
) -> None:
    assert next_difficulty(best_success, 0.75) == expected
