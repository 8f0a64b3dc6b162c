"""Exact integer arithmetic on steps written as four words, `a op b c`, meaning a op b = c."""

from typing import NamedTuple

WORDS_PER_STEP = 4
OPERATORS = ("+", "-", "*", "/")


class Step(NamedTuple):
    """One line of arithmetic: left operator right = result."""

    left: int
    operator: str
    right: int
    result: int


def apply(operator: str, left: int, right: int) -> int | None:
    """Left operator right; None where a division leaves a remainder or divides by zero."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if right == 0 or left % right:
        return None
    return left // right
