"""What does the inference of a stage: one engine or many. A stage cuts its work into parts and
cannot tell which.

A part is done in one go on one engine, and what comes of it depends on the part alone: so neither
where it is done, nor after which, nor a second time after a failure, changes a row.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Model = TypeVar("Model")
ModelIn = TypeVar("ModelIn", contravariant=True)
ModelOut = TypeVar("ModelOut", covariant=True)
Part = TypeVar("Part")
PartIn = TypeVar("PartIn", contravariant=True)
Result = TypeVar("Result")
ResultOut = TypeVar("ResultOut", covariant=True)


class Work(Protocol[ModelIn, PartIn, ResultOut]):
    """What is done to every part.

    It may be sent to another machine, so it is a function with its settings bound.
    """

    def __call__(
        self, model: ModelIn, part: PartIn, /, *, on_tokens: Callable[[int], None]
    ) -> ResultOut:
        """Do one part, telling `on_tokens` of the tokens gone through the model."""
        ...


class Pool(Protocol[ModelOut]):
    """Engines that hold the same policy."""

    def each(
        self,
        work: Work[ModelOut, Part, Result],
        parts: Iterable[Part],
        on_tokens: Callable[[int], None],
    ) -> Iterator[tuple[int, Result]]:
        """Do `work` on every part.

        Yields:
            The place of each part in `parts` and what came of it, as they are done: in any order,
            each once.
        """
        ...
