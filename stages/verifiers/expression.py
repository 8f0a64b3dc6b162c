"""Integer verifier for Countdown: are these steps a way from the given numbers to the target?

A step is four words `a op b c`, meaning a op b = c. Every number is used exactly once, results of
earlier steps included, and the last result is the target. Words are matched against a closed set;
nothing is ever evaluated.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stages.contracts.verdict import Verdict
from stages.tasks.arithmetic import OPERATORS, WORDS_PER_STEP, Step, apply

MAX_DIGITS = 4


class ExpressionVerifier:
    """The verifier of Countdown; see `stages.verifiers.registry.Verifier`."""

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """Verify the steps after the cue."""
        return verify(metadata["numbers"], metadata["target"], answer)

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> Verdict:
        """Verify the steps before the segment's verdict marker."""
        return self.verify(metadata, segment)


def parse_steps(text: str) -> list[Step] | None:
    """Read `a op b c a op b c …`; None where the words are anything else."""
    words = text.split()
    if not words or len(words) % WORDS_PER_STEP:
        return None
    steps = []
    for start in range(0, len(words), WORDS_PER_STEP):
        left, operator, right, result = words[start : start + WORDS_PER_STEP]
        if operator not in OPERATORS or not all(map(is_number, (left, right, result))):
            return None
        steps.append(Step(int(left), operator, int(right), int(result)))
    return steps


def verify(numbers: Sequence[int], target: int, text: str) -> Verdict:
    """Verify `text` as a derivation of `target` from `numbers`, operands in either order."""
    steps = parse_steps(text)
    if steps is None:
        return Verdict.UNPARSABLE
    available = Counter(numbers)
    for step in steps:
        if apply(step.operator, step.left, step.right) != step.result:
            return Verdict.INCORRECT
        for operand in (step.left, step.right):
            if available[operand] == 0:
                return Verdict.INCORRECT
            available[operand] -= 1
        available[step.result] += 1
    is_solved = +available == Counter([target])
    return Verdict.CORRECT if is_solved else Verdict.INCORRECT


def is_number(word: str) -> bool:
    """Whether a word is a natural number in ASCII digits, and a short one."""
    return word.isascii() and word.isdigit() and len(word) <= MAX_DIGITS
