"""Joins of sorted tables without holding them: streams cut at the same keys."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc


def aligned(on: str, *streams: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, ...]]:
    """Cut streams that are sorted by the text column `on` at the same keys.

    Every row comes once, beside all rows of its key in the other streams. What is held of a stream
    are two batches, or all rows of one key where these are more. At least one cut is given, of
    empty tables if need be.
    """
    cursors = [_Cursor(on, stream) for stream in streams]
    is_first = True
    while unfinished := [cursor for cursor in cursors if cursor.fill()]:
        bound = min(cursor.last for cursor in unfinished)
        cut = tuple(cursor.take(bound) for cursor in cursors)
        if any(rows.num_rows for rows in cut):
            is_first = False
            yield cut
        for cursor in unfinished:
            if cursor.last == bound:
                cursor.extend()
    if is_first or any(cursor.held.num_rows for cursor in cursors):
        yield tuple(cursor.held for cursor in cursors)


class _Cursor:
    """A stream, and what of it is in memory."""

    def __init__(self, on: str, stream: Iterator[pa.Table]) -> None:
        self._on, self._stream = on, stream
        self.held = next(stream)
        self._next = next(stream, None)  # known ahead: small tables are then one cut, not two

    @property
    def last(self) -> str:
        """The last key in memory: rows of it may still come."""
        return self.held[self._on][self.held.num_rows - 1].as_py()

    def fill(self) -> bool:
        """Have rows in memory; False where the stream has no more to come."""
        while self._next is not None and not self.held.num_rows:
            self.extend()
        return self._next is not None

    def extend(self) -> None:
        """Take the stream's next batch into memory."""
        self.held = pa.concat_tables([self.held, self._next])
        self._next = next(self._stream, None)

    def take(self, bound: str) -> pa.Table:
        """Give away the rows in memory whose key is less than `bound`."""
        size = pc.sum(pc.less(self.held[self._on], bound)).as_py() or 0
        taken, self.held = self.held.slice(0, size), self.held.slice(size)
        return taken
