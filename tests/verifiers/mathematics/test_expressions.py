"""What an expression is, and what is none."""

from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.verifiers.mathematics.expressions import read_expression
from stages.verifiers.mathematics.numerals import Unreadable

SUMS = st.recursive(
    st.integers(1, 20).map(lambda n: (str(n), Fraction(n))),
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(
        lambda t: (
            f"({t[0][0]}{t[1]}{t[2][0]})",
            {"+": t[0][1] + t[2][1], "-": t[0][1] - t[2][1], "*": t[0][1] * t[2][1]}[t[1]],
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(SUMS)
def test_arithmetic_is_exact(case: tuple[str, Fraction]) -> None:
    text, value = case
    assert read_expression(text) == sympy.Rational(value.numerator, value.denominator)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "+",
            "4 5",
            "x2",
            "(3)2",
            "x^10",
            r"\sqrt12",
            r"\frac123",
            "1/0",
            "0^0",
            "(",
            ")",
            "4'",
        ),
        *(r"4\approx 5", r"3\ldots", "1..2", "apple", "4 apples", r"\foo", "9^{9^{9^9}}", "99999!"),
        *(
            "2.5!",
            "(-1)!",
            "^2",
            "_2",
            "x_",
            "{",
            r"\frac{1}",
            "[1]",
            "1,2",
            "=",
            "4;",
            "__import__",
        ),
        *("(" * 100 + "1" + ")" * 100, "1+" * 400 + "1", r"\binom{5}{x}", r"2\frac{5}{3}", "@"),
    ],
)
def test_what_is_none_is_not_read(text: str) -> None:
    with pytest.raises(Unreadable):
        read_expression(text)


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-*/^_(){}xyze! \\fracsqt.,'", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = read_expression(text)
    except Unreadable:
        return
    assert isinstance(value, sympy.Expr)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (r"\frac12", "1/2"),
        (r"\frac1{10}", "1/10"),
        ("-2^2", "-4"),
        ("2^-3", "1/8"),
        ("10^-12", "1/1000000000000"),
        ("x**10", "x^{10}"),
        (r"\sqrt[3]{8}", "2"),
        ("2x^2y", r"2\cdot x^{2}\cdot y"),
        (r"\sin^2 x", r"(\sin x)^2"),
        (r"\sin^{-1} 1", r"\frac{\pi}{2}"),
        (r"\cos 60^\circ", "1/2"),
        (r"\lfloor 7/2 \rfloor", "3"),
        ("|-3|", "3"),
        (r"\binom{5}{2}", "10"),
        ("a_{12}", "a_{12}"),
    ],
)
def test_notations_mean_the_same(text: str, same: str) -> None:
    assert sympy.simplify(read_expression(text) - read_expression(same)) == 0
