"""What an audit takes: every question of a tree of many rounds, and rows and leaks of very many
rollouts.

Reads   nothing but what `benchmarks.audit_tree` reads; writes trees into a temporary folder that
        goes.
Writes  two tables on stdout; with --out the figures as JSON.
Method  The first tree is a chain of rounds of 512 rollouts. The second is one round of `num_rows`
        rollouts, ten of each problem. Each question is a whole process, asked `repeats` times (of
        the second tree once): medians of seconds by the clock and of the processor, which other
        jobs on the machine disturb least, and peak memory (ru_maxrss). Trees are written by a
        process of their own: what a process is started from counts into its peak.
Claim   a question takes under 2 s of processor; rows and leaks of 10 million rollouts under 2 GiB.

Example: python -m benchmarks.audit_speed --repeats 5
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from stages.running.errors import command
from stages.running.publish import write_json

KIBIBYTES_PER_MEBIBYTE = 1024
GROUP_SIZE = 10


class Answer(NamedTuple):
    """One question, asked in a process of its own."""

    question: str
    wall_seconds: float
    processor_seconds: float
    peak_mib: float
    exit_code: int


def main(
    num_rounds: int = 30, num_rows: int = 10_000_000, repeats: int = 5, out: Path | None = None
) -> None:
    """Ask every question of a chain of rounds, then `rows` and `leaks` of one round of `num_rows`
    rollouts.
    """
    with TemporaryDirectory() as name:
        place, last = Path(name), f"n{num_rounds}"
        grow(place / "chain", num_rounds, 512, 1)
        told = {
            "show": ["show", last],
            "show --html": ["show", last, "--html", str(place / "page.html")],
            "rows": ["rows", last],
            "leaks": ["leaks", last],
            "diff": ["diff", "n1", last],
            "verify": ["verify", last],
            "export": ["export", last, "--folder", str(place / "exports")],
        }
        chain = [
            middle([ask(place / "chain", name, words) for _ in range(repeats)])
            for name, words in told.items()
        ]
        print(table(f"{num_rounds} rounds", chain), flush=True)
        grow(place / "large", 1, num_rows // GROUP_SIZE, GROUP_SIZE)
        told = {
            "rows": ["rows", "n1"],
            "rows .parquet": ["rows", "n1", "--out", str(place / "rows.parquet")],
            "leaks": ["leaks", "n1"],
        }
        large = [ask(place / "large", name, words) for name, words in told.items()]
        print(table(f"{num_rows:,} rows", large))
    if out is not None:
        write_json(
            out,
            {
                "chain": [answer._asdict() for answer in chain],
                "large": [a._asdict() for a in large],
            },
        )


def grow(folder: Path, num_rounds: int, num_problems: int, group_size: int) -> None:
    """Write a tree, in a process of its own."""
    program = [sys.executable, "-m", "benchmarks.audit_tree", "--folder", str(folder)]
    program += [
        "--num-rounds",
        str(num_rounds),
        "--num-problems",
        str(num_problems),
        "--group-size",
        str(group_size),
    ]
    subprocess.run(program, check=True)


def ask(tree: Path, question: str, words: Sequence[str]) -> Answer:
    """Ask one question of a tree, and see what it takes."""
    begin = time.perf_counter()
    program = [sys.executable, "-m", "lineage", *words, "--repo", str(tree)]
    child = subprocess.Popen(program, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    seconds = used.ru_utime + used.ru_stime
    peak = used.ru_maxrss / KIBIBYTES_PER_MEBIBYTE
    return Answer(question, time.perf_counter() - begin, seconds, peak, child.returncode)


def middle(answers: Sequence[Answer]) -> Answer:
    """Medians over repeats of one question."""
    first = answers[0]
    wall, processor, peak = (median(column) for column in list(zip(*answers, strict=True))[1:4])
    return Answer(
        first.question, wall, processor, peak, max(answer.exit_code for answer in answers)
    )


def table(title: str, answers: Sequence[Answer]) -> str:
    """One line a question."""
    lines = [f"{title:>20}{'wall s':>10}{'processor s':>13}{'peak MiB':>10}{'exit':>6}"]
    lines += [
        f"{a.question:>20}{a.wall_seconds:10.2f}{a.processor_seconds:13.2f}{a.peak_mib:10,.0f}{a.exit_code:6}"
        for a in answers
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    command(main)
