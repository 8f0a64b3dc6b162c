"""Mathematics: what counts as the same answer, and what does not.

`cases/faults.jsonl` holds answers that were once judged wrongly, `before` as they were then;
`cases/variants.jsonl` others of the same kinds; `cases/trials.jsonl` some that were thought of when
the grammar stood, and tried on it.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stages.contracts.verdict import Verdict
from stages.verifiers.math_answer import MathVerifier
from stages.verifiers.mathematics.answers import read

VERIFIER = MathVerifier()
CASES = Path(__file__).parent / "cases"


def lines(name: str) -> list[dict[str, Any]]:
    """The cases of a file."""
    text = (CASES / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


FAULTS, VARIANTS, TRIALS = (lines(f"{name}.jsonl") for name in ("faults", "variants", "trials"))


@pytest.mark.parametrize(
    "case",
    [*FAULTS, *VARIANTS, *TRIALS],
    ids=lambda case: f"{case['kind']}: {case['reference']} by {case['answer']}",
)
def test_a_case_has_its_right_verdict(case: dict[str, Any]) -> None:
    verdict = VERIFIER.verify({"answer": case["reference"]}, case["answer"])
    assert (verdict is Verdict.CORRECT) == (case["expected"] == "correct")


def test_every_kind_has_at_least_as_many_variants() -> None:
    variants = Counter(case["kind"] for case in VARIANTS)
    assert not Counter(case["kind"] for case in FAULTS) - variants
    assert all(case["before"] in [*Verdict] for case in FAULTS)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("4", "4"),
        ("4", " 4.\n"),
        ("4", "$4$"),
        ("4", r"\boxed{4}"),
        ("4", "The sum is $4$."),
        ("4", "$2+2 = 4$"),
        ("4", "x = 4"),
        ("4", "4.0"),
        ("4", "$4"),
        ("-4", "-4"),
        (r"\frac{1}{2}", "1/2"),
        (r"\frac{1}{2}", "0.5"),
        (r"$\frac{1}{2}$", r"\dfrac12"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        ("x^2+2x+1", "(x+1)^2"),
        ("1,000", "1000"),
        ("50%", "50\\%"),
        (r"(-\infty, 3]", r"(-\infty,3]"),
        ("(3, 4)", "(3,4)"),
        ("1, 2", "2, 1"),
        (r"\text{even}", r"\text{Even}"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ],
)
def test_equal_answers_are_correct_however_they_are_written(gold: str, answer: str) -> None:
    assert VERIFIER.verify({"answer": gold}, answer) is Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("4", "5", Verdict.INCORRECT),
        ("4", "-4", Verdict.INCORRECT),
        ("4", "4 or 5", Verdict.INCORRECT),
        ("4", "3, 4, 5", Verdict.INCORRECT),
        ("4", "5 $4$ $5$", Verdict.INCORRECT),
        ("4", "7 = 4", Verdict.INCORRECT),
        ("3", "x + 3", Verdict.INCORRECT),
        ("4", "14", Verdict.INCORRECT),
        ("(3,4)", "(4,3)", Verdict.INCORRECT),
        (r"\frac{1}{3}", "0.3", Verdict.INCORRECT),
        (r"\text{even}", r"\text{odd}", Verdict.INCORRECT),
        ("4", "", Verdict.UNPARSABLE),
        ("4", "$$", Verdict.UNPARSABLE),
        ("4", r"\frac{", Verdict.UNPARSABLE),
        ("4", "٤", Verdict.UNPARSABLE),
        ("4", "4" * 2001, Verdict.UNPARSABLE),
    ],
)
def test_other_answers_are_not(gold: str, answer: str, verdict: Verdict) -> None:
    assert VERIFIER.verify({"answer": gold}, answer) is verdict


def test_no_attempt_is_seen_in_free_text() -> None:
    assert VERIFIER.verify_attempt({"answer": "4"}, "4") is None


def test_what_is_no_mathematics_is_not_read() -> None:
    assert read("\\") is None
