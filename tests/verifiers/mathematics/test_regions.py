"""Intervals, inequalities and sets are the same numbers in other words."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.contracts.verdict import Verdict
from stages.verifiers.math_answer import MathVerifier
from stages.verifiers.mathematics.regions import read_region

VERIFIER = MathVerifier()
SIGNS = {True: ("<", "("), False: (r"\leq ", "[")}
ENDS = {True: ("<", ")"), False: (r"\le ", "]")}


@settings(deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50), st.booleans(), st.booleans(), st.booleans())
def test_an_interval_is_its_inequality_and_no_other(
    low: int, high: int, is_left_open: bool, is_right_open: bool, is_other_open: bool
) -> None:
    assume(low < high)
    interval = f"{SIGNS[is_left_open][1]}{low},{high}{ENDS[is_right_open][1]}"
    said = f"{low}{SIGNS[is_left_open][0]}x{ENDS[is_other_open][0]}{high}"
    verdict = VERIFIER.verify({"answer": interval}, said)
    assert (verdict is Verdict.CORRECT) == (is_right_open == is_other_open)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"x\neq 2", r"(-\infty,2)\cup(2,\infty)"),
        (r"\mathbb{R}\setminus\{2\}", r"(-\infty,2)\cup(2,\infty)"),
        (r"(1,3)\cap(2,5)", "(2,3)"),
        (r"x<1 or x>2", r"(-\infty,1)\cup(2,\infty)"),
        (r"x>1 and x<2", "1<x<2"),
        (r"\{x\mid x\geq 1\}", r"[1,\infty)"),
        ("]0,1[", "0<x<1"),
        (r"m\in[\sqrt2,+\infty)", r"m\geq\sqrt{2}"),
    ],
)
def test_sets_are_equal_by_their_numbers(one: str, other: str) -> None:
    for reference, answer in ((one, other), (other, one)):
        assert VERIFIER.verify({"answer": reference}, answer) is Verdict.CORRECT


@pytest.mark.parametrize("text", ["4", "x", "(1,2)", "x=1", "apples"])
def test_what_is_no_set_for_certain_is_none(text: str) -> None:
    assert read_region(text) is None
