"""What an audit finds, and what stops it."""

from dataclasses import dataclass


class AuditError(Exception):
    """The question cannot be answered: an unknown policy, no lock file, bytes that are nowhere. Exit code 2."""


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is not as it should be. `check` names the rule, `subject` the file, step or row it is about."""

    check: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.check}: {self.subject}: {self.message}"
