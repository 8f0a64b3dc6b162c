"""What does the inference of a stage: one engine or many. A stage cannot tell which.

A work item is done in one go on one engine, and what comes of it depends on the item alone: so
neither where it is done, nor after which, nor a second time after a failure, changes a row.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

Model = TypeVar("Model")
ModelIn = TypeVar("ModelIn", contravariant=True)
ModelOut = TypeVar("ModelOut", covariant=True)
WorkItem = TypeVar("WorkItem")
WorkItemIn = TypeVar("WorkItemIn", contravariant=True)
Result = TypeVar("Result")
ResultOut = TypeVar("ResultOut", covariant=True)


@runtime_checkable
class WorkFunction(Protocol[ModelIn, WorkItemIn, ResultOut]):
    """What is done to every item.

    It may be sent to another machine, so it is a function with its settings bound.
    """

    def __call__(
        self, model: ModelIn, item: WorkItemIn, /, *, on_tokens: Callable[[int], None]
    ) -> ResultOut:
        """Do one item, telling `on_tokens` of the tokens gone through the model."""
        ...


@runtime_checkable
class Pool(Protocol[ModelOut]):
    """Engines that hold the same policy."""

    def each(
        self,
        work: WorkFunction[ModelOut, WorkItem, Result],
        items: Iterable[WorkItem],
        on_tokens: Callable[[int], None],
    ) -> Iterator[tuple[int, Result]]:
        """Do `work` on every item.

        Yields:
            The place of each item in `items` and what came of it, as they are done: in any order,
            each once.
        """
        ...
