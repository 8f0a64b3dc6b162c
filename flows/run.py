"""Run one stage of dvc.yaml: in a session of its own, watched, and never outliving whoever runs it.

Every child process hangs on a pipe. Between this program and the child stands a guard, this file run as a script: when
the pipe closes (the run is over, is cancelled, or this program was killed, even with signal 9) or the child ends, the
guard ends all that is left of the child's tree, whatever session or parent its processes have moved to.
"""

import ctypes
import fcntl
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

import psutil

SCRATCH = Path("data/.scratch")
PROGRESS_FILE = "KNOWHOW_PROGRESS_FILE"
GRACE_SECONDS = 10.0
UNWIND_SECONDS = 3.0
POLL_SECONDS = 0.2
GUARD_POLL_SECONDS = 0.05
NUM_LAST_LINES = 20

EXIT_MACHINE = 75  # sysexits.h EX_TEMPFAIL, by which a stage says that the machine failed and not its input
EXIT_DEADLINE = 124  # as timeout(1)
EXIT_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # the kernel, out of memory; then through a shell or the guard
STAGE_FAILED = re.compile(r"failed to run: .*, exited with (-?\d+)$")
DVC_ADVICE = re.compile(r"To (track the changes|enable auto)|\s+(git add|dvc config) |Use `dvc push`|Updating lock")
DVC_BUSY = "is busy, it is being blocked by"  # another DVC command holds a file of the stage for a moment

PR_SET_CHILD_SUBREAPER = 36


class Cancelled(Exception):
    """The run was called off while, or before, the child ran."""


class Busy(Exception):
    """Another program runs stages of this checkout."""


@dataclass(eq=False)
class StageFailed(Exception):
    """A stage did not end well. `is_machine_failure`: the same stage may succeed when tried again."""

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
        """The last line the stage itself wrote, or DVC where the stage wrote none."""
        if self.exit_code in EXIT_KILLED:
            return "killed with signal 9, as the system does when memory runs out"
        own = [line for line in self.last_lines if not STAGE_FAILED.search(line)]
        return own[-1] if own else "no output"


class Progress(NamedTuple):
    """What the stage last wrote of its progress: `done` of `total` in units of its own, `rate` in tokens a second."""

    stage: str
    done: float
    total: float
    rate: float


class Children:
    """The processes this program has running. At the end of the block all are ended, and no other can start."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def running(
        self, command: list[str], env: Mapping[str, str], output: IO[bytes]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run `command` while the block runs.

        Raises:
            Cancelled: the children have been closed, before or meanwhile.
        """
        guard = [sys.executable, "-P", __file__, str(self._grace_seconds), *command]
        with self._lock:
            if self._is_closed:
                raise Cancelled("called off before it started")
            child = subprocess.Popen(
                guard, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True
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
            child.wait(3 * self._grace_seconds + UNWIND_SECONDS)
        if child.poll() is None or child.returncode < 0:  # the guard hangs, or was killed itself
            self._kill_group(child)

    def _kill_group(self, child: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + self._grace_seconds
        with suppress(ProcessLookupError):  # which says that all are gone
            while time.monotonic() < end:
                os.killpg(child.pid, signal.SIGKILL)
                child.poll()
                time.sleep(GUARD_POLL_SECONDS)


def _let_go(child: subprocess.Popen[bytes]) -> None:
    """Close the pipe the child hangs on."""
    assert child.stdin is not None
    child.stdin.close()


@contextmanager
def exclusive() -> Iterator[None]:
    """Be the only program that runs stages of this checkout while the block runs.

    Raises:
        Busy: another one does; the lock dies with its holder, however it dies.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / "run.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"another run is at work in this checkout (`fuser {path}` says which); let it end, or end it"
            ) from None
        yield


def run_stage(
    name: str,
    children: Children,
    *,
    deadline_seconds: float | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Bring one stage up to date with `dvc repro -s`; its parents must be. All it prints goes to `log_path(name)` too.

    Raises:
        StageFailed: the stage failed, or was not done in `deadline_seconds`.
        Cancelled: `children` have been closed.
    """
    from flows import mending  # not above: the guard, which is this file as a script, finds no package

    mending.mend()  # each time: a DVC that was killed may be tried again
    log = log_path(name)
    progress = SCRATCH / "progress" / f"{log.stem}.json"
    for path in (log, progress):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", name]
    watch = _Watch(log, progress, on_line, on_progress)
    end = time.monotonic() + (deadline_seconds or float("inf"))

    with log.open("wb") as output, children.running(command, _environment(progress), output) as child:
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
        self, log: Path, progress: Path, on_line: Callable[[str], None], on_progress: Callable[[Progress], None]
    ) -> None:
        self.lines: deque[str] = deque(maxlen=NUM_LAST_LINES)
        self._log, self._on_line = log, on_line
        self._progress, self._on_progress = progress, on_progress
        self._offset = 0
        self._last_progress: Progress | None = None

    def look(self, is_last: bool = False) -> None:
        """Read on; a line counts once it is whole, and of a bar that redraws itself only the last state."""
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            text = stream.read()
        whole = text if is_last else text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.decode(errors="replace").split("\n"):
            shown = line.rstrip().rpartition("\r")[2]
            if shown and not DVC_ADVICE.match(shown):
                self.lines.append(shown)
                self._on_line(shown)
        self._look_at_progress()

    def _look_at_progress(self) -> None:
        try:
            progress = Progress(**json.loads(self._progress.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return
        if progress != self._last_progress:
            self._last_progress = progress
            self._on_progress(progress)


def _environment(progress: Path) -> dict[str, str]:
    """This program's environment, with the `python` that runs it first in line for the stage's command."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
        PROGRESS_FILE: str(progress.absolute()),
    }


def _failure(name: str, dvc_exit_code: int, log: Path, lines: list[str]) -> StageFailed:
    codes = [int(match[1]) for line in lines if (match := STAGE_FAILED.search(line))]
    exit_code = codes[-1] if codes else dvc_exit_code
    is_busy = any(DVC_BUSY in line for line in lines)
    return StageFailed(name, exit_code, is_busy or exit_code in (EXIT_MACHINE, *EXIT_KILLED), log, lines)


def _guard(grace_seconds: float, command: list[str]) -> int:
    """Run `command` until it ends or standard input closes; then end everything below. Returns an exit code."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans of the tree become ours, so that none is lost
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        while child.poll() is None and not select.select([sys.stdin], [], [], GUARD_POLL_SECONDS)[0]:
            pass
    finally:
        _end_all(child, grace_seconds)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _end_all(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """TERM, then KILL, all processes below this one, the command last: when its stage dies DVC drops its locks."""
    if _signal_all(signal.SIGTERM, grace_seconds, spare=child.pid):
        _signal_all(signal.SIGKILL, grace_seconds, spare=child.pid)
        with suppress(subprocess.TimeoutExpired):
            child.wait(UNWIND_SECONDS)
    _signal_all(signal.SIGTERM, grace_seconds)
    _signal_all(signal.SIGKILL, grace_seconds)
    child.wait()


def _signal_all(number: int, patience_seconds: float, spare: int | None = None) -> bool:
    """Signal each process below this one once, those that appear meanwhile too, until none is left or time is up.

    Returns whether there was any.
    """
    told: set[psutil.Process] = set()
    end = time.monotonic() + patience_seconds
    while (left := [process for process in _living() if process.pid != spare]) and time.monotonic() < end:
        for process in left:
            if process not in told:
                told.add(process)
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        time.sleep(GUARD_POLL_SECONDS)
    return bool(told)


def _living() -> list[psutil.Process]:
    living = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
    return living


if __name__ == "__main__":
    sys.exit(_guard(float(sys.argv[1]), sys.argv[2:]))
