"""Run one stage of dvc.yaml by `dvc repro`, watched: its lines, its progress, and how it ended."""

import fcntl
import json
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flows.project import exit_codes, mending
from flows.project.paths import SCRATCH
from flows.project.printable import printable
from flows.running.children import Children

PROGRESS_FILE = "KNOWHOW_PROGRESS_FILE"
POLL_SECONDS = 0.2
NUM_LAST_LINES = 20

EXIT_DEADLINE = 124  # as timeout(1)
# The kernel, out of memory; then the same through a shell or the guard.
EXIT_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
EXIT_ENDED = tuple(
    code for number in (signal.SIGTERM, signal.SIGINT) for code in (-number, 128 + number)
)  # with who started it: no stage ends itself so
STAGE_FAILED = re.compile(r"failed to run: .*, exited with (-?\d+)$")
DVC_ADVICE = re.compile(
    r"To (track the changes|enable auto)|\s+(git add|dvc config) |Use `dvc push`|Updating lock"
)
DVC_OUT_OF_ROOM = re.compile(
    r"disk I/O error|unable to open database file|database or disk is full|No space left on device"
    r"|Disk quota exceeded|Cannot allocate memory|Too many open files|Input/output error"
)
"""What DVC itself says, outside of any stage, where the disk or the memory has no room for it."""
DVC_BUSY = "is busy, it is being blocked by"  # another DVC holds a file of the stage for a moment


class Busy(Exception):
    """Another program runs stages of this checkout."""


@dataclass(eq=False)
class StageFailed(Exception):
    """A stage did not end well.

    `is_machine_failure`: the same stage may succeed when it is tried again.
    """

    name: str
    exit_code: int
    is_machine_failure: bool
    log: Path
    last_lines: list[str] = field(repr=False)

    def __str__(self) -> str:
        cure = "free the machine or wait" if self.is_machine_failure else "mend what the log names"
        return (
            f"stage {self.name} failed with exit code {self.exit_code}: {self.last_error}\n"
            f"  log:  {self.log}\n"
            f"  next: {cure}, then run the same command: finished stages are kept"
        )

    @property
    def last_error(self) -> str:
        """The last line that the stage itself wrote, or DVC where the stage wrote none."""
        if self.exit_code in EXIT_KILLED:
            return "killed with signal 9, as the system does when memory runs out"
        lines = [line for line in self.last_lines if not STAGE_FAILED.search(line)]
        return lines[-1] if lines else "no output"


class StageProgress(NamedTuple):
    """What the stage last wrote of its progress: how much of it is done, and how fast.

    `done` and `total` are in units of the stage's own, `rate` is in tokens a second.
    """

    stage: str
    done: float
    total: float
    rate: float


@contextmanager
def exclusive() -> Iterator[None]:
    """Be the only program that runs stages of this checkout while the block runs.

    Raises:
        Busy: another one does; the lock dies with its holder, however that dies.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / "run.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"another run is at work in this checkout (`fuser {path}` says which); "
                "let it end, or end it"
            ) from None
        yield


def run_stage(
    name: str,
    children: Children,
    *,
    deadline_seconds: float | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[StageProgress], None] = lambda progress: None,
) -> None:
    """Bring one stage up to date with `dvc repro -s`; its parents must be.

    All that it prints goes to `log_path(name)` too.

    Raises:
        StageFailed: the stage failed, or was not done in `deadline_seconds`.
        Cancelled: `children` have been closed.
    """
    mending.mend()  # each time: a DVC that was killed may be tried again
    log = log_path(name)
    progress = SCRATCH / "progress" / f"{log.stem}.json"
    for path in (log, progress):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", name]
    watch = _Watch(log, progress, on_line, on_progress)
    end = time.monotonic() + (deadline_seconds or float("inf"))

    with log.open("wb") as output, children.running(command, _env(progress), output) as child:
        while child.poll() is None:
            if time.monotonic() > end:
                watch.lines.append(f"not done within its deadline of {deadline_seconds:g} s")
                raise StageFailed(name, EXIT_DEADLINE, False, log, list(watch.lines))
            time.sleep(POLL_SECONDS)
            watch.look()
    watch.look(is_last=True)
    if child.returncode:
        raise _failure(name, child.returncode, log, list(watch.lines))


def log_path(name: str) -> Path:
    """Where everything the stage printed when it last ran is kept."""
    return SCRATCH / "logs" / f"{name.replace('/', '-')}.log"


class _Watch:
    """Hands on what is new in a stage's log and progress file at each look."""

    def __init__(
        self,
        log: Path,
        progress: Path,
        on_line: Callable[[str], None],
        on_progress: Callable[[StageProgress], None],
    ) -> None:
        self.lines: deque[str] = deque(maxlen=NUM_LAST_LINES)
        self._log, self._on_line = log, on_line
        self._progress, self._on_progress = progress, on_progress
        self._offset = 0
        self._last_progress: StageProgress | None = None

    def look(self, is_last: bool = False) -> None:
        """Read on; a line counts once it is whole.

        Of a bar that redraws itself, only the last state counts.
        """
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            text = stream.read()
        whole = text if is_last else text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode(errors="replace").split("\n"):
            shown = printable(line.rstrip().rpartition("\r")[2])
            if shown and not DVC_ADVICE.match(shown):
                self.lines.append(shown)
                self._on_line(shown)
        self._look_at_progress()

    def _look_at_progress(self) -> None:
        try:
            progress = StageProgress(**json.loads(self._progress.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        if progress != self._last_progress:
            self._last_progress = progress
            self._on_progress(progress)


def _env(progress: Path) -> dict[str, str]:
    """This program's environment; its own `python` comes first for the stage's command."""
    path = os.environ.get("PATH", os.defpath)
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
        PROGRESS_FILE: str(progress.absolute()),
    }


def _failure(name: str, dvc_exit_code: int, log: Path, lines: list[str]) -> StageFailed:
    codes = [int(match[1]) for line in lines if (match := STAGE_FAILED.search(line))]
    exit_code = codes[-1] if codes else dvc_exit_code
    is_busy = any(DVC_BUSY in line for line in lines)
    has_no_room = not codes and any(map(DVC_OUT_OF_ROOM.search, lines))
    is_passing = exit_code in (exit_codes.MACHINE, *EXIT_KILLED, *EXIT_ENDED)
    is_machine_failure = is_busy or has_no_room or is_passing
    return StageFailed(name, exit_code, is_machine_failure, log, lines)
