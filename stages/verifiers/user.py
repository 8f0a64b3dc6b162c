"""Verifier of a user's own task: the class's method `verify`."""

from collections.abc import Mapping
from typing import Any

from stages.contracts.params.task import UserTask
from stages.contracts.verdict import Verdict
from stages.tasks.imported.user_class import load_user_class
from stages.tasks.question import question_of
from stages.verifiers.said import verdict_of


class UserVerifier:
    """The verifier of a user's class; see `stages.verifiers.registry.Verifier`."""

    def __init__(self, params: UserTask) -> None:
        self._task = load_user_class(params)

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """What the class says; None is unparsable."""
        return verdict_of(self._task.verify(question_of(metadata), answer))

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> None:
        """None: free text has no attempt that could be told from the rest."""
        del metadata, segment
