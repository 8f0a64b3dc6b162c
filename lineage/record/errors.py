"""What an audit finds, what stops it, and how messages count things."""

from collections.abc import Sequence
from dataclasses import dataclass

NUM_SHOWN = 5


class AuditError(Exception):
    """The question cannot be answered, exit code 2: an unknown policy, no lock file, lost bytes."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is not as it should be."""

    check: str
    """The rule that it breaks."""
    subject: str
    """The file, step or row it is about."""
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.subject}: {self.message}"


def counted(number: int, thing: str) -> str:
    """A number of things: `1 finding`, `2 findings`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def first_few(names: Sequence[str], num_shown: int = NUM_SHOWN) -> str:
    """Names in a sentence; the first of them and how many more, where they are many."""
    more = len(names) - num_shown
    return ", ".join(names[:num_shown]) + (f" and {more} more" if more > 0 else "")
