"""The second implementations agree with the first where both are sure."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.tasks import countdown_task, mathematics_task
from stages.contracts.verdict import Verdict
from stages.tasks.task import Problem
from stages.verifiers import expression
from stages.verifiers.isolated import Submission
from stages.verifiers.math_answer import MathVerifier
from stages.verifiers.second import _modular, load_second, second_name

COUNTDOWN, MATHEMATICS = load_second(countdown_task()), load_second(mathematics_task())
WORDS = st.sampled_from([*"0123456789", "+", "-", "*", "/", "12", "36", "x"])


def submission(metadata: dict[str, object], text: str) -> Submission:
    """An answer to a problem."""
    problem = Problem("p", "train", 1, "", str(metadata.get("answer", "")), metadata, 0)
    return Submission(problem, text, is_attempt=False)


@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_countdown_is_judged_alike_by_other_code(text: str) -> None:
    metadata = {"numbers": [3, 5, 7], "target": 36}
    said = COUNTDOWN(submission(metadata, text))
    assert said is expression.verify([3, 5, 7], 36, text)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("7 + 5 12 12 * 3 36", Verdict.CORRECT),
        ("7 + 5 13 13 * 3 39", Verdict.INCORRECT),
        ("7 + 5 12", Verdict.INCORRECT),
        ("7 + 5 12 zebra", Verdict.UNPARSABLE),
        ("", Verdict.UNPARSABLE),
    ],
)
def test_countdown_by_hand(text: str, verdict: Verdict) -> None:
    assert COUNTDOWN(submission({"numbers": [3, 5, 7], "target": 36}, text)) is verdict


@given(st.lists(st.integers(1, 99), min_size=1, max_size=4), st.integers(2, 99))
def test_a_residue_is_counted_off(factors: list[int], modulus: int) -> None:
    product = 1
    for factor in factors:
        product *= factor
    metadata = {"factors": factors, "modulus": modulus}
    assert _modular(metadata, str(product % modulus)) is Verdict.CORRECT
    assert _modular(metadata, str(product % modulus + modulus)) is not Verdict.CORRECT
    assert _modular(metadata, "x") is Verdict.UNPARSABLE


@settings(deadline=None, max_examples=40)
@given(st.fractions(-99, 99, max_denominator=30), st.fractions(-99, 99, max_denominator=30))
def test_fractions_are_judged_alike(one: Fraction, other: Fraction) -> None:
    asked = submission({"answer": str(one)}, rf"\frac{{{other.numerator}}}{{{other.denominator}}}")
    assert MATHEMATICS(asked) is MathVerifier().verify(asked.problem.metadata, asked.text)


def test_a_task_knows_what_its_second_is() -> None:
    assert second_name(mathematics_task()) == "math-verify alone"
    assert "fractions" in second_name(countdown_task())
