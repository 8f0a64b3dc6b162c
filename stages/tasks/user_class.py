"""The class of a user's own task: found by name, and seen to be the one that params.yaml means."""

import importlib
import random
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from stages.contracts.params.task import UserTask
from stages.running.errors import BadInput
from stages.tasks.question import Question
from stages.tasks.row_files import check_sha256


@runtime_checkable
class UserClass(Protocol):
    """What a class must have to be a task. It is called without arguments."""

    def problems(self, difficulty: int, rng: random.Random) -> Iterable[Question]:
        """Questions of one difficulty, endless or not, by draws of `rng` alone; one that comes
        again is passed over.
        """
        ...

    def verify(self, question: Question, answer: str) -> bool | None:
        """Whether an answer is correct; None where it cannot be read. It sees what a policy wrote:
        evaluate nothing.
        """
        ...


@runtime_checkable
class Solving(Protocol):
    """A class that knows every correct answer, which probe estimator `set_likelihood` needs."""

    def solutions(self, question: Question) -> list[str]:
        """Every correct answer in canonical form."""
        ...


def load_user_class(params: UserTask) -> UserClass:
    """An object of the user's class.

    Raises:
        BadInput: the module is not the one params.yaml means, cannot be imported, or has no such
            class.
    """
    module, _, name = params.source.partition(":")
    path = Path(*module.split(".")).with_suffix(".py")
    check_sha256(path, params.sha256, "task.source")
    try:
        user_class = getattr(importlib.import_module(module), name)
        task = user_class()
    except Exception as error:  # the user's code, which may raise anything
        raise BadInput(f"params.yaml task.source: {params.source}: {explain(error)}") from error
    if not isinstance(task, UserClass):
        raise BadInput(
            f"params.yaml task.source: {params.source} needs methods problems and verify; docs/tasks.md shows them"
        )
    return task


def explain(error: Exception) -> str:
    """What the user's code raised, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"
