"""Equal is equal exactly, and nothing near."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Rational

from stages.verifiers.mathematics.expressions import read_expression
from stages.verifiers.mathematics.sameness import is_same_number


@settings(deadline=None)
@given(st.fractions(-1000, 1000), st.integers(1, 300))
def test_the_smallest_difference_is_one(value: Fraction, exponent: int) -> None:
    number = Rational(value.numerator, value.denominator)
    near = number + Rational(1, 10**exponent)
    root = sympy.sqrt(2) + number
    assert is_same_number(number, number)
    assert not is_same_number(number, near)
    assert not is_same_number(root, sympy.sqrt(2) + near)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5+2\sqrt{6}}", True),
        (r"\sqrt{2}", "1.41421356237309504880168872420969807856967", False),
        (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}", True),
        (r"\sin 2x", r"2\sin x\cos x", True),
        (r"(x+1)(x-1)", "x^2-1", True),
        (r"\frac{x^2-1}{x-1}", "x+1", True),
        (r"\sqrt{x^2}", "x", False),
        ("x", r"x+\frac{1}{10^{50}}", False),
        (r"\log 6", r"\log 2+\log 3", True),
        (r"\log 100", "2", False),
        (r"\log_{10} 100", "2", True),
        ("x", "y", False),
        (r"\infty", r"\infty", True),
        (r"\infty", r"-\infty", False),
    ],
)
def test_expressions_are_equal_where_their_values_are(one: str, other: str, is_same: bool) -> None:
    left, right = read_expression(one), read_expression(other)
    assert is_same_number(left, right) == is_same
    assert is_same_number(right, left) == is_same
