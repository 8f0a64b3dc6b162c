"""A unit in another spelling is the same, another unit another."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.verdict import Verdict
from stages.verifiers.math_answer import MathVerifier
from stages.verifiers.mathematics.units import KNOWN, SPELLINGS, unit_of

VERIFIER = MathVerifier()
MEASURES = sorted(unit for unit in SPELLINGS if unit.isascii() and unit.isalpha() and len(unit) > 1)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(MEASURES), st.sampled_from(MEASURES))
def test_another_unit_changes_the_verdict(value: int, unit: str, other: str) -> None:
    said = VERIFIER.verify({"answer": f"{value} {unit}"}, rf"{value}\text{{ {other} }}")
    assert (said is Verdict.CORRECT) == (unit == other)
    unit_alone = VERIFIER.verify({"answer": str(value)}, f"{value} {unit}")
    assert unit_alone is Verdict.INCORRECT
    assert VERIFIER.verify({"answer": f"{value} {unit}"}, str(value)) is Verdict.CORRECT


@pytest.mark.parametrize("word", sorted(KNOWN))
def test_a_spelling_is_its_unit(word: str) -> None:
    assert unit_of(word) == KNOWN[word]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("square centimeters", "cm^2"),
        (r"\text{ cm}^2", "cm^2"),
        (r"\text{cm}^{3}", "cm^3"),
        ("meters squared", "m^2"),
        ("kilometers per hour", "km/h"),
        (r"\text{m}/\text{s}^2", "m/s^2"),
        ("red apples", "red*apple"),
        ("berries", "berry"),
        ("glass", "glass"),
        ("or 5", None),
        ("is the answer", None),
        ("a/b/c", None),
        ("", None),
    ],
)
def test_a_unit_is_spelt_in_one_way(text: str, unit: str | None) -> None:
    assert unit_of(text) == unit
