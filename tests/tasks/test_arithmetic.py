"""Exact arithmetic by hand: a division leaves nothing, or there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.tasks.arithmetic import OPERATORS, Step, apply


@pytest.mark.parametrize(
    ("step", "result"),
    [
        (Step(7, "+", 5, 12), 12),
        (Step(3, "-", 8, -5), -5),
        (Step(7, "*", 0, 0), 0),
        (Step(12, "/", 4, 3), 3),
        (Step(12, "/", 5, 2), None),
        (Step(12, "/", 0, 0), None),
        (Step(0, "/", 4, 0), 0),
    ],
)
def test_steps_by_hand(step: Step, result: int | None) -> None:
    assert apply(step.operator, step.left, step.right) == result


@given(st.sampled_from(OPERATORS), st.integers(-99, 99), st.integers(-99, 99))
def test_a_result_is_exact(operator: str, left: int, right: int) -> None:
    result = apply(operator, left, right)
    if result is None:
        assert operator == "/"
        assert right == 0 or left % right
    elif operator == "/":
        assert result * right == left
    else:
        assert result == {"+": left + right, "-": left - right, "*": left * right}[operator]
