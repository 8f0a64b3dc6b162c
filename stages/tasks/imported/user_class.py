"""A class of the user's: loaded by name, and seen to be the one that params.yaml means."""

import importlib
import random
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from stages.contracts.params.task import UserTask
from stages.running.errors import BadInput
from stages.tasks.imported.row_files import check_sha256
from stages.tasks.question import Question


@runtime_checkable
class UserClass(Protocol):
    """What a class must have to be a task. It is called without arguments."""

    def problems(self, difficulty: int, rng: random.Random) -> Iterable[Question]:
        """Questions of one difficulty, endless or not, by draws of `rng` alone.

        One that comes again is passed over.
        """
        ...

    def verify(self, question: Question, answer: str) -> bool | None:
        """Whether an answer is correct; None where it cannot be read.

        It sees what a policy wrote: evaluate nothing.
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
    task = load_class(params.source, params.sha256, "task")
    if not isinstance(task, UserClass):
        raise BadInput(
            f"params.yaml task.source: {params.source} needs methods problems and verify; "
            "docs/tasks.md shows them"
        )
    return task


def load_class(source: str, sha256: str, key: str) -> Any:
    """An object of the class that `source` and `sha256` below a key of params.yaml name.

    Raises:
        BadInput: the module is not the one params.yaml means, cannot be imported, or has no such
            class.
    """
    module, _, name = source.partition(":")
    check_sha256(Path(*module.split(".")).with_suffix(".py"), sha256, f"{key}.source")
    try:
        return getattr(importlib.import_module(module), name)()
    except Exception as error:  # the user's code, which may raise anything
        raise BadInput(f"params.yaml {key}.source: {source}: {explain(error)}") from error


def explain(error: Exception) -> str:
    """What the user's code raised, and where."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}, line {place.lineno})"
