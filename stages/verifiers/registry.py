"""Verifiers by task."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from stages.contracts.params.task import (
    CountdownTask,
    DatasetTask,
    ModularTask,
    ReasoningGymTask,
    TaskParams,
)
from stages.contracts.verdict import Verdict, Verification


@runtime_checkable
class Verifier(Protocol):
    """Verifies text against a problem's `metadata`.

    It may hang or crash: `stages.verifiers.isolated` runs it. A bare verdict earns its own reward;
    a verification says what partial credit a wrong answer earns.
    """

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict | Verification:
        """Verify an answer: the text after the cue."""
        ...

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> Verdict | None:
        """Verify the attempt in a thinking segment, its closing marker left out.

        None where none is seen.
        """
        ...


def need_verifier(params: TaskParams) -> None:
    """Refuse a verifier of the user's that cannot be used, before any worker starts.

    Raises:
        BadInput: it is not the one that params.yaml means, or no verifier.
    """
    if params.verifier is not None:
        load_verifier(params)


def load_verifier(params: TaskParams) -> Verifier:
    """The verifier of the task: the one that params.yaml chooses, or the task's own."""
    if params.verifier is not None:
        from stages.verifiers.chosen import ChosenVerifier

        return ChosenVerifier(params.verifier)
    if isinstance(params, CountdownTask):
        from stages.verifiers.expression import ExpressionVerifier

        return ExpressionVerifier()
    if isinstance(params, ModularTask):
        from stages.verifiers.modular import ModularVerifier

        return ModularVerifier()
    if isinstance(params, ReasoningGymTask):
        from stages.verifiers.reasoning_gym import ReasoningGymVerifier

        return ReasoningGymVerifier(params)
    if isinstance(params, DatasetTask):
        from stages.verifiers.math_answer import MathVerifier

        return MathVerifier()
    from stages.verifiers.user import UserVerifier

    return UserVerifier(params)
