"""One engine does items in their order, each when it is asked for."""

from collections.abc import Callable

from stages.engines.pools.here import OneEngine
from stages.engines.pools.pool import Pool


def test_items_are_done_one_by_one_as_they_are_asked_for() -> None:
    done: list[int] = []
    tokens: list[int] = []

    def double(model: int, item: int, *, on_tokens: Callable[[int], None]) -> int:
        done.append(item)
        on_tokens(item)
        return model * item

    pool: Pool[int] = OneEngine(10)
    results = pool.each(double, [3, 1, 2], tokens.append)
    assert done == []
    assert next(results) == (0, 30)
    assert done == [3]
    assert list(results) == [(1, 10), (2, 20)]
    assert tokens == [3, 1, 2]
    assert list(pool.each(double, [], tokens.append)) == []
