"""The Countdown verifier on cases by hand, on every derivation there is, and on any text."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.format import without_marker
from stages.contracts.verdict import Verdict
from stages.tasks.countdown import derivations
from stages.tasks.formats import CountdownFormat
from stages.verifiers.expression import ExpressionVerifier, parse_steps, verify

MAX_RESULT = 99
NUMBERS = st.lists(st.integers(1, 12), min_size=2, max_size=4)
WORDS = st.sampled_from(
    ["+", "-", "*", "/", "=", "#", *map(str, range(13)), "36", "x", "-3", "3.0", "٣"]
)
QUICK = settings(derandomize=True, deadline=None, max_examples=60, database=None)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("7 + 5 12 12 * 3 36", Verdict.CORRECT),
        ("5 + 7 12 3 * 12 36", Verdict.CORRECT),
        ("  7 + 5 12\n12 * 3 36 ", Verdict.CORRECT),
        ("7 * 5 35 35 + 3 38", Verdict.INCORRECT),  # sound steps, another result
        ("7 + 5 13 13 * 3 36", Verdict.INCORRECT),  # wrong sum
        ("7 + 5 12 12 * 3 35", Verdict.INCORRECT),  # wrong product
        ("6 * 6 36", Verdict.INCORRECT),  # numbers that were not given
        ("12 * 3 36", Verdict.INCORRECT),  # a result that was not worked out
        ("7 + 5 12", Verdict.INCORRECT),  # one number left over
        ("7 + 5 12 12 * 3 36 36 * 1 36", Verdict.INCORRECT),  # one number too many
        ("3 + 3 6 6 * 6 36", Verdict.INCORRECT),  # one number twice
        ("7 / 5 1 1 + 3 4", Verdict.INCORRECT),  # a division with a remainder
        ("7 / 0 0", Verdict.INCORRECT),
        ("36", Verdict.UNPARSABLE),
        ("", Verdict.UNPARSABLE),
        ("7 + 5 = 12", Verdict.UNPARSABLE),
        ("7 + 5 12 12 * 3 36 =", Verdict.UNPARSABLE),
        ("7 ^ 5 12 12 * 3 36", Verdict.UNPARSABLE),
        ("-7 + 5 12 12 * 3 36", Verdict.UNPARSABLE),
        ("7.0 + 5 12 12 * 3 36", Verdict.UNPARSABLE),
        ("00007 + 5 12 12 * 3 36", Verdict.UNPARSABLE),
        ("٧ + 5 12 12 * 3 36", Verdict.UNPARSABLE),
    ],
)
def test_hand_worked_answers(answer: str, verdict: Verdict) -> None:
    assert verify([3, 5, 7], 36, answer) is verdict


def test_equal_numbers_are_each_used_once() -> None:
    assert verify([4, 4], 8, "4 + 4 8") is Verdict.CORRECT
    assert verify([4, 4], 0, "4 - 4 0") is Verdict.CORRECT
    assert verify([4], 8, "4 + 4 8") is Verdict.INCORRECT


def test_an_attempt_is_judged_without_its_marker_whatever_the_marker_claims() -> None:
    verifier = ExpressionVerifier()
    metadata = {"numbers": [3, 5, 7], "target": 36}
    for marker in ("=", "<", "<<", ">", ">>", ""):
        right, wrong, nothing = (
            without_marker(text + marker, CountdownFormat.segment_ends)
            for text in ("7 + 5 12 12 * 3 36 ", "7 * 5 35 35 + 3 38 ", "")
        )
        assert verifier.verify_attempt(metadata, right) is Verdict.CORRECT
        assert verifier.verify_attempt(metadata, wrong) is Verdict.INCORRECT
        assert verifier.verify_attempt(metadata, nothing) is Verdict.UNPARSABLE
    assert verifier.verify(metadata, "7 + 5 12 12 * 3 36 =") is Verdict.UNPARSABLE


@QUICK
@given(NUMBERS)
def test_every_derivation_is_correct_for_its_own_result_alone(numbers: list[int]) -> None:
    for derivation in derivations(tuple(sorted(numbers)), MAX_RESULT):
        text = " ".join(f"{s.left} {s.operator} {s.right} {s.result}" for s in derivation)
        target = derivation[-1].result
        assert verify(numbers, target, text) is Verdict.CORRECT
        assert verify(numbers, target + 1, text) is Verdict.INCORRECT
        assert verify([*numbers, 1], target, text) is Verdict.INCORRECT


@QUICK
@given(NUMBERS, st.integers(1, MAX_RESULT), st.lists(WORDS, max_size=13))
def test_any_words_get_a_verdict_and_correct_ones_reach_the_target(
    numbers: list[int], target: int, words: list[str]
) -> None:
    if verify(numbers, target, " ".join(words)) is Verdict.CORRECT:
        assert reaches(numbers, target, words)


@QUICK
@given(st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    assert verify([3, 5, 7], 36, text) in (Verdict.INCORRECT, Verdict.UNPARSABLE)
    steps = parse_steps(text)
    assert steps is None or len(text.split()) == 4 * len(steps)


def reaches(numbers: list[int], target: int, words: list[str]) -> bool:
    """The same judgement by fractions and removal from a list."""
    left: list[Fraction] = [Fraction(n) for n in numbers]
    for a, operator, b, result in zip(*[iter(words)] * 4, strict=True):
        left.remove(Fraction(a))
        left.remove(Fraction(b))
        x, y = Fraction(a), Fraction(b)
        left.append(
            {"+": x + y, "-": x - y, "*": x * y, "/": x / y if y else Fraction(-1, 7)}[operator]
        )
        if left[-1] != int(result):
            return False
    return left == [target]
