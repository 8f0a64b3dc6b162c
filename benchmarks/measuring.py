"""What all benchmarks do alike: take turns, read clocks, compare rates, print tables of figures.

Ways to do the same work take turns, so that a slow moment of the machine hits all of them. Seconds
of processors, all threads of a process, are what other jobs on the machine disturb least; they
flatter a way that leaves a core idle, so both clocks are shown.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Generic, NamedTuple, TypeVar

MEBIBYTE = 2**20
KIBIBYTE = 2**10

LAUNCHER = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
exit_code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
seconds = time.perf_counter() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({
    "seconds": seconds,
    "processor_seconds": used.ru_utime + used.ru_stime,
    "peak_kib": used.ru_maxrss,
    "exit_code": exit_code,
}))
"""
"""A process as small as can be: the kernel counts a forking parent's memory as its child's peak."""

Result = TypeVar("Result")


class Spent(NamedTuple):
    """Seconds of a piece of work: by the clock on the wall, and of processors."""

    seconds: float
    processor_seconds: float


class Turn(NamedTuple, Generic[Result]):
    """One turn of one way: what it gave, and what it took."""

    result: Result
    spent: Spent


class Ended(NamedTuple):
    """A program that has ended; seconds of processors are those of all that it waited for too."""

    spent: Spent
    peak_mib: float
    """Of the largest single process."""
    exit_code: int


def clocks() -> Spent:
    """Both clocks of this process; only differences mean anything."""
    return Spent(time.perf_counter(), time.process_time())


def since(begin: Spent) -> Spent:
    """Seconds since `begin`, which `clocks` gave."""
    now = clocks()
    return Spent(now.seconds - begin.seconds, now.processor_seconds - begin.processor_seconds)


def take_turns(
    ways: Mapping[str, Callable[[], Result]], repeats: int
) -> dict[str, list[Turn[Result]]]:
    """`repeats` turns of each way, in turn; one more before them warms up and is dropped."""
    turns: dict[str, list[Turn[Result]]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            begin = clocks()
            result = way()
            turns[name].append(Turn(result, since(begin)))
    return {name: of_way[1:] for name, of_way in turns.items()}


def run_program(
    words: Sequence[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a program to its end; what it prints on stdout is dropped, stderr is left to be seen."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *words]
    printed = subprocess.run(
        launcher, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    ended = json.loads(printed)
    spent = Spent(ended["seconds"], ended["processor_seconds"])
    return Ended(spent, ended["peak_kib"] * KIBIBYTE / MEBIBYTE, ended["exit_code"])


def peak_mib() -> float:
    """Peak of this program's resident memory; getrusage would count the process that forked it."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIBIBYTE / MEBIBYTE
    raise AssertionError("Linux gives VmHWM of every process")


def results(turns: Sequence[Turn[Result]]) -> list[Result]:
    """What each turn gave."""
    return [turn.result for turn in turns]


def median_processor_seconds(turns: Sequence[Turn[Result]]) -> float:
    """What a turn took of processors."""
    return median(turn.spent.processor_seconds for turn in turns)


def medians(rows: Iterable[Sequence[float]]) -> list[float]:
    """The median of each column of rows of one length."""
    return [median(column) for column in zip(*rows, strict=True)]


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Turn by turn, so that a slow moment of the machine hits both."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def with_range(values: Sequence[float], form: str = ".2f") -> str:
    """The median, and in brackets the smallest and the largest."""
    return f"{median(values):{form}} [{min(values):{form}} … {max(values):{form}}]"


def verdict(is_kept: bool) -> str:
    """What a table says of a claim."""
    return "holds" if is_kept else "DOES NOT HOLD"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned text: names on the left of the first column, figures on the right of the others."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = [line[0].ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
    return "  ".join(cells)
