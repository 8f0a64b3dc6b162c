"""Dates, times and ranges are no arithmetic."""

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.verdict import Verdict
from stages.verifiers.math_answer import MathVerifier
from stages.verifiers.mathematics.literals import read_literal
from stages.verifiers.mathematics.readings import Clock, Literal

VERIFIER = MathVerifier()


@settings(deadline=None)
@given(st.dates(datetime.date(1000, 1, 1)), st.dates(datetime.date(1000, 1, 1)))
def test_a_date_is_its_day_and_no_difference(one: datetime.date, other: datetime.date) -> None:
    iso, words = str(one), f"{one:%B} {one.day}, {one.year}"
    assert read_literal(iso) == read_literal(words)
    assert (read_literal(iso) == read_literal(str(other))) == (one == other)
    difference = str(one.year - one.month - one.day)
    assert VERIFIER.verify({"answer": iso}, difference) is Verdict.INCORRECT
    assert VERIFIER.verify({"answer": difference}, iso) is Verdict.INCORRECT


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 59), st.booleans())
def test_a_time_of_day_has_two_halves(hours: int, minutes: int, is_late: bool) -> None:
    said = read_literal(f"{hours}:{minutes:02d} {'p.m.' if is_late else 'AM'}")
    day_hours = hours % 12 + 12 * is_late
    assert said == read_literal(f"{day_hours:02d}:{minutes:02d}")
    assert said == Clock((day_hours * 60 + minutes) * 60)


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 999), st.integers(0, 999))
def test_a_range_is_no_difference(a: int, b: int, c: int, d: int) -> None:
    verdict = VERIFIER.verify({"answer": f"{a}-{b}"}, f"{c}–{d}")
    assert (verdict is Verdict.CORRECT) == ((a, b) == (c, d))
    assert VERIFIER.verify({"answer": str(a - b)}, f"{a}-{b}") is Verdict.INCORRECT


@pytest.mark.parametrize("text", ["10 - 3", "4", "1:60", "25:00", "x-1", "5 to 4", "1/2", "13 pm"])
def test_arithmetic_is_no_literal(text: str) -> None:
    assert read_literal(text) is None


def test_runs_of_digits_are_a_name() -> None:
    assert isinstance(read_literal("555-12-34"), Literal)
    assert read_literal("1/11/2024") != read_literal("11/1/2024")
