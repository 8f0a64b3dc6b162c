"""The verifier of modular products against hand-worked cases and arbitrary text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.format import without_marker
from stages.contracts.verdict import Verdict
from stages.tasks.formats import ModularFormat
from stages.verifiers.modular import ModularVerifier

VERIFIER = ModularVerifier()
METADATA = {"factors": [3, 5, 7], "modulus": 23}  # 105 = 4 * 23 + 13
QUICK = settings(derandomize=True, deadline=None, max_examples=100, database=None)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("13", Verdict.CORRECT),
        (" 13\n", Verdict.CORRECT),
        ("013", Verdict.CORRECT),
        ("12", Verdict.INCORRECT),
        ("36", Verdict.INCORRECT),  # congruent, but no residue
        ("105", Verdict.INCORRECT),
        ("-10", Verdict.UNPARSABLE),
        ("13 13", Verdict.UNPARSABLE),
        ("13 =", Verdict.UNPARSABLE),
        ("3 * 5 * 7", Verdict.UNPARSABLE),
        ("13.0", Verdict.UNPARSABLE),
        ("٤", Verdict.UNPARSABLE),
        ("00013", Verdict.UNPARSABLE),
        ("9" * 5000, Verdict.UNPARSABLE),
        ("", Verdict.UNPARSABLE),
    ],
)
def test_hand_worked_answers(answer: str, verdict: Verdict) -> None:
    assert VERIFIER.verify(METADATA, answer) is verdict


@pytest.mark.parametrize("marker", ["=", "!=", ""])
def test_an_attempt_is_judged_without_its_marker_whatever_the_marker_claims(marker: str) -> None:
    right, wrong, nothing = (
        without_marker(text + marker, ModularFormat.segment_ends) for text in ("13 ", "12 ", "")
    )
    assert VERIFIER.verify_attempt(METADATA, right) is Verdict.CORRECT
    assert VERIFIER.verify_attempt(METADATA, wrong) is Verdict.INCORRECT
    assert VERIFIER.verify_attempt(METADATA, nothing) is Verdict.UNPARSABLE


@QUICK
@given(st.lists(st.integers(2, 96), min_size=2, max_size=6), st.integers(5, 97), st.integers(0, 97))
def test_one_residue_is_correct_and_it_is_the_remainder_of_repeated_addition(
    factors: list[int], modulus: int, residue: int
) -> None:
    remainder = 1
    for factor in factors:
        remainder = sum([remainder] * factor) % modulus
    is_correct = (
        VERIFIER.verify({"factors": factors, "modulus": modulus}, str(residue)) is Verdict.CORRECT
    )
    assert is_correct == (residue == remainder)


@QUICK
@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    assert VERIFIER.verify(METADATA, text) in (
        Verdict.CORRECT,
        Verdict.INCORRECT,
        Verdict.UNPARSABLE,
    )
