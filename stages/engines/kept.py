"""An engine that is kept: in a process that runs step after step, one start serves all policies.

A step alone in its process opens its engine and ends with it. What runs a whole chain of steps in
one process says `with kept_engines()`: there an engine outlives its step, and the next policy of
the same architecture is loaded into it. It must then draw what a fresh engine would.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import torch

Engine = TypeVar("Engine")


class Held(NamedTuple):
    """An engine, and the threads that its start has given it."""

    engine: Any
    num_threads: int


_HELD: ContextVar[dict[str, Held] | None] = ContextVar("held engine by its likeness", default=None)


@contextmanager
def kept_engines() -> Iterator[None]:
    """While the block runs, this process keeps the last engine it opened."""
    token = _HELD.set({})
    try:
        yield
    finally:
        _HELD.reset(token)


def open_engine(
    likeness: str | None, start: Callable[[], Engine], load: Callable[[Engine], None]
) -> Engine:
    """The engine held for this likeness, once `load` has given it its policy; else what `start`s.

    An engine without a likeness serves one policy only, and is never held.
    """
    held = _HELD.get()
    if held is None:
        return start()
    engine: Engine
    if likeness in held:
        engine, num_threads = held.pop(likeness)
        torch.set_num_threads(num_threads)
        load(engine)
    else:
        held.clear()
        # One at a time: an engine of vLLM that goes takes along what its successor has set up.
        gc.collect()
        engine = start()
    if likeness is not None:
        held[likeness] = Held(engine, torch.get_num_threads())
    return engine
