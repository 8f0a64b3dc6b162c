"""A second implementation of every verifier, to hold the first against: other code, other ideas.

It is cruder by intention, so a disagreement is a place to look and no proof. Countdown's steps are
played on a list of fractions; a residue is counted off; mathematics is math-verify's alone, without
the grammar that the first reads by; elsewhere an answer is the reference, in any case and spacing.
Nothing is evaluated.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from stages.contracts.params.task import CountdownTask, DatasetTask, ModularTask, TaskParams
from stages.contracts.verdict import Verdict
from stages.verifiers.isolated import Submission, Verify

STEP = re.compile(r"\s*([0-9]{1,4})\s+([-+*/])\s+([0-9]{1,4})\s+([0-9]{1,4})(?:\s+|$)")
MAX_CHARACTERS = 2000


def load_second(params: TaskParams) -> Verify:
    """The second verifier of a task, whichever its first is."""
    own = params.verifier is None
    if own and isinstance(params, CountdownTask):
        return lambda one: _countdown(one.problem.metadata, one.text)
    if own and isinstance(params, ModularTask):
        return lambda one: _modular(one.problem.metadata, one.text)
    if own and isinstance(params, DatasetTask):
        return _mathematics
    return _as_written


def second_name(params: TaskParams) -> str:
    """What the second implementation of a task is, in words."""
    if params.verifier is None and isinstance(params, CountdownTask | ModularTask):
        return "its steps played again on fractions"
    if params.verifier is None and isinstance(params, DatasetTask):
        return "math-verify alone"
    return "the reference's own words, in any case and spacing"


def _countdown(metadata: Mapping[str, Any], text: str) -> Verdict:
    numbers, position = [Fraction(number) for number in metadata["numbers"]], 0
    results = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b if b else None,
    }
    steps = []
    while found := STEP.match(text, position):
        steps.append(found.groups())
        position = found.end()
    if not steps or text[position:].strip():
        return Verdict.UNPARSABLE
    for left, sign, right, said in steps:
        for used in (left, right):
            if Fraction(used) not in numbers:
                return Verdict.INCORRECT
            numbers.remove(Fraction(used))
        if results[sign](Fraction(left), Fraction(right)) != Fraction(said):
            return Verdict.INCORRECT
        numbers.append(Fraction(said))
    is_reached = numbers == [Fraction(metadata["target"])]
    return Verdict.CORRECT if is_reached else Verdict.INCORRECT


def _modular(metadata: Mapping[str, Any], text: str) -> Verdict:
    if re.fullmatch(r"\s*[0-9]{1,4}\s*", text) is None:
        return Verdict.UNPARSABLE
    residue = 1
    for factor in metadata["factors"]:
        residue = residue * factor - (residue * factor // metadata["modulus"]) * metadata["modulus"]
    return Verdict.CORRECT if int(text) == residue else Verdict.INCORRECT


def _mathematics(submission: Submission) -> Verdict:
    from math_verify import parse, verify

    if len(submission.text) > MAX_CHARACTERS:
        return Verdict.UNPARSABLE
    texts = (submission.problem.metadata["answer"], submission.text)
    gold, said = (
        parse(text if "$" in text or "\\boxed" in text else f"${text}$", parsing_timeout=None)
        for text in texts
    )
    if not said:
        return Verdict.UNPARSABLE
    is_equal = verify(gold, said, timeout_seconds=None)
    return Verdict.CORRECT if is_equal else Verdict.INCORRECT


def _as_written(submission: Submission) -> Verdict:
    said, right = (
        " ".join(text.split()).casefold() for text in (submission.text, submission.problem.answer)
    )
    return Verdict.CORRECT if said == right else Verdict.INCORRECT
