"""Changes to a right answer: what stays the same, and what is wrong."""

from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.verdict import Verdict
from stages.verifiers.math_answer import MathVerifier
from stages.verifiers.perturbing import JUNK, same_answers, wrong_answers


@given(st.text(max_size=30), st.none() | st.text(max_size=30))
def test_no_change_leaves_the_same_words(right: str, other: str | None) -> None:
    words = " ".join(right.split()).casefold()
    for text in wrong_answers(right, other).values():
        assert " ".join(text.split()).casefold() != words


@settings(deadline=None, max_examples=40)
@given(st.integers(-999, 999), st.integers(-999, 999))
def test_a_number_spoilt_is_never_right(right: int, other: int) -> None:
    verifier = MathVerifier()
    for kind, text in wrong_answers(str(right), str(other)).items():
        is_correct = verifier.verify({"answer": str(right)}, text) is Verdict.CORRECT
        assert not is_correct, (kind, text)
    for kind, text in same_answers(str(right)).items():
        assert verifier.verify({"answer": str(right)}, text) is Verdict.CORRECT, (kind, text)


def test_changes_by_hand() -> None:
    made = wrong_answers("-12", "7")
    assert made["sign"] == "12"
    assert made["words behind"] == f"-12 {JUNK}"
    assert made["swapped digits"] == "-21"
    assert made["another digit"] == "-22"
    assert made["or another"] == "-12 or 7"
    assert made["empty"] == ""
    assert "sign" not in wrong_answers("0", None)
    assert "another answer" not in wrong_answers("12", "12")
    assert same_answers("1/2")["frac"] == r"\frac{1}{2}"
