"""Child processes that never outlive the program that runs them.

Every child hangs on a pipe, and between this program and the child stands a guard (`guard.py`).
When the run is over, is cancelled, or this program was killed, the pipe closes, and the guard ends
the child and all below it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from flows.running import guard

GRACE_SECONDS = 10.0


class Cancelled(Exception):
    """The run was called off before the child started, or while it ran."""


class Children:
    """The processes this program runs.

    At the end of the block all of them are ended, and no other can start.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def running(
        self,
        command: list[str],
        env: Mapping[str, str],
        output: IO[bytes],
        folder: Path | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run `command` while the block runs, in `folder` or the working directory.

        Raises:
            Cancelled: the children have been closed, before or meanwhile.
        """
        guarded = [sys.executable, "-P", guard.__file__, str(self._grace_seconds), *command]
        with self._lock:
            if self._is_closed:
                raise Cancelled("called off before it started")
            child = subprocess.Popen(
                guarded,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=folder,
                start_new_session=True,
            )
            self._running.add(child)
        try:
            yield child
        finally:
            self._end(child)
            self._running.discard(child)
        if self._is_closed:
            raise Cancelled("called off")

    def close(self) -> None:
        """End all children, and let no other start."""
        with self._lock:
            self._is_closed = True
        children = list(self._running)
        for child in children:
            _let_go(child)
        for child in children:
            self._end(child)

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        _let_go(child)
        with suppress(subprocess.TimeoutExpired):
            child.wait(3 * self._grace_seconds + guard.UNWIND_SECONDS)
        if child.poll() is None or child.returncode < 0:  # the guard hangs, or was killed itself
            self._kill_group(child)

    def _kill_group(self, child: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + self._grace_seconds
        with suppress(ProcessLookupError):  # which says that all are gone
            while time.monotonic() < end:
                os.killpg(child.pid, signal.SIGKILL)
                child.poll()
                time.sleep(guard.POLL_SECONDS)


def _let_go(child: subprocess.Popen[bytes]) -> None:
    """Close the pipe the child hangs on."""
    assert child.stdin is not None
    child.stdin.close()
