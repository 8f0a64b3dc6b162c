"""A verifier that params.yaml chooses in the place of the task's own: a class of the user's."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from stages.contracts.params.task import VerifierClass
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.tasks.imported.user_class import load_class
from stages.verifiers.said import verdict_of

Said = bool | Verdict | None
"""Whether an answer is correct, None where it cannot be read; or a verdict."""


@runtime_checkable
class Verifying(Protocol):
    """What a class must have to verify answers. It is called without arguments."""

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Said:
        """Judge an answer by the problem's metadata."""
        ...


@runtime_checkable
class VerifyingAttempts(Protocol):
    """A class that knows an attempt inside a thinking segment; others grade none."""

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> Said:
        """Judge a segment, its closing marker left out; None where no attempt is seen."""
        ...


class ChosenVerifier:
    """The verifier of a class of the user's; see `stages.verifiers.registry.Verifier`."""

    def __init__(self, params: VerifierClass) -> None:
        self._chosen = load_class(params.source, params.sha256, "task.verifier")
        if not isinstance(self._chosen, Verifying):
            raise BadInput(
                f"params.yaml task.verifier.source: {params.source} needs a method verify; "
                "docs/tasks.md shows one"
            )

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """What the class says."""
        return _verdict(self._chosen.verify(metadata, answer))

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> Verdict | None:
        """What the class says, where it knows attempts."""
        if not isinstance(self._chosen, VerifyingAttempts):
            return None
        said = self._chosen.verify_attempt(metadata, segment)
        return None if said is None else _verdict(said)


def _verdict(said: Said) -> Verdict:
    return said if isinstance(said, Verdict) else verdict_of(said)
