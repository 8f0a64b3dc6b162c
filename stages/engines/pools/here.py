"""The engine in this process."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic

from stages.engines.pools.pool import Model, Result, WorkFunction, WorkItem


class OneEngine(Generic[Model]):
    """One engine; parts are done in their order, each when it is asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def each(
        self,
        work: WorkFunction[Model, WorkItem, Result],
        parts: Iterable[WorkItem],
        on_tokens: Callable[[int], None],
    ) -> Iterator[tuple[int, Result]]:
        """See `stages.engines.pools.pool.Pool.each`."""
        for place, part in enumerate(parts):
            yield place, work(self._model, part, on_tokens=on_tokens)
