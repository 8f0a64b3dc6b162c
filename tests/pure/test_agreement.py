"""The widest variance of a reward, found by trying all choices of correct answers."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.agreement import answer_counts, answers_needed, widest_variance


def test_answers_are_counted_without_their_white_space() -> None:
    assert answer_counts(["3 + 4", " 3  +\t4\n", "7", "3+4"]).tolist() == [2, 1, 1]
    assert answer_counts([]).shape == (0,)


def every_variance(counts: Sequence[int]) -> list[float]:
    """Variance of a reward for each choice of the correct answers, with a 0 and a 1 added."""
    found = []
    for choice in product([0.0, 1.0], repeat=len(counts)):
        rewards = np.repeat([*choice, 0.0, 1.0], [*counts, 1, 1])
        found.append(float(rewards.var(ddof=1)))
    return found


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_the_widest_variance_is_that_of_the_worst_choice_of_correct_answers(
    counts: list[int],
) -> None:
    assert widest_variance(np.array(counts)) == pytest.approx(
        max(every_variance(counts)), abs=1e-12
    )


def test_the_widest_variance_by_hand() -> None:
    assert widest_variance(np.array([3, 1])) == pytest.approx(2 * 4 / (5 * 6))
    assert widest_variance(np.array([1, 1, 1, 1])) == pytest.approx(
        3 * 3 / (5 * 6)
    )  # two of the four may be right
    assert widest_variance(np.array([4])) == pytest.approx(5 / (5 * 6))
    assert math.isnan(widest_variance(np.array([], dtype=np.int64)))


def test_answers_needed_by_hand() -> None:
    """Of 2 against 2, variance .3; of 4 that agree, 1/6."""
    assert answers_needed(np.array([2, 2]), 0.2) == 8
    assert answers_needed(np.array([4]), 0.2) == 5
    assert answers_needed(np.array([4]), 1.0) == 1


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.floats(0.01, 1))
def test_answers_needed_are_enough_and_no_more(counts: list[int], max_stderr: float) -> None:
    needed, variance = (
        answers_needed(np.array(counts), max_stderr),
        widest_variance(np.array(counts)),
    )
    assert math.sqrt(variance / needed) <= max_stderr + 1e-9
    assert needed == 1 or math.sqrt(variance / (needed - 1)) > max_stderr - 1e-9
