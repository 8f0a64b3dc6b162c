"""What a verifier may say of an answer, and the reward that goes with it."""

from enum import StrEnum
from typing import NamedTuple

EXACT = "exact"
"""The judge of a round or an exam that is the task's own verifier."""
JUDGE_FILE = "judge.json"
"""What a judge's folder says of itself."""


class Verdict(StrEnum):
    """The category of a verification. Only the first three are about the answer."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNPARSABLE = "unparsable"
    TIMEOUT = "timeout"
    """The verifier was killed at its time limit: a machine's failure, so no reward."""
    ERROR = "error"
    """The verifier crashed: a machine's failure, so no reward."""

    @property
    def reward(self) -> float | None:
        """1 for a correct answer, 0 for any other, None where the verifier failed."""
        if self in (Verdict.TIMEOUT, Verdict.ERROR):
            return None
        return 1.0 if self is Verdict.CORRECT else 0.0


class Verification(NamedTuple):
    """A verdict, and what the answer earns in training.

    That is its verdict's reward, or of a wrong answer a part below 1.
    """

    verdict: Verdict
    reward: float | None
