"""The widest error of success is found among the choices of correct answers, by trying them all."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.agreement import answer_counts, widest_stderr


def test_answers_are_counted_without_their_white_space() -> None:
    assert answer_counts(["3 + 4", " 3  +\t4\n", "7", "3+4"]).tolist() == [2, 1, 1]
    assert answer_counts([]).shape == (0,)


def every_stderr(counts: Sequence[int]) -> list[float]:
    """Standard error of success for each choice of the correct answers."""
    num_answers = sum(counts)
    shares = [sum(c for c, right in zip(counts, choice, strict=True) if right) / num_answers
              for choice in product([False, True], repeat=len(counts))]  # fmt: skip
    return [math.sqrt(p * (1 - p) / num_answers) for p in shares]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_the_widest_error_is_that_of_the_worst_choice_of_correct_answers(counts: list[int]) -> None:
    assert widest_stderr(np.array(counts)) == pytest.approx(max(every_stderr(counts)), abs=1e-12)


def test_the_widest_error_by_hand() -> None:
    assert widest_stderr(np.array([3, 1])) == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert widest_stderr(np.array([1, 1, 1, 1])) == pytest.approx(
        math.sqrt(0.25 / 4)
    )  # two of the four may be right
    assert widest_stderr(np.array([4])) == 0
    assert math.isnan(widest_stderr(np.array([], dtype=np.int64)))
