"""What an audit takes: each question of a tree of many rounds, and of a round of many rollouts.

Reads   nothing but what `benchmarks.audit_tree` reads; writes trees into a temporary folder that
        goes.
Writes  two tables on stdout; with --out the figures as JSON.
Method  The first tree is a chain of rounds of 512 rollouts. The second is one round of `num_rows`
        rollouts, ten of each problem. Each question is a whole process, asked `repeats` times (of
        the second tree once): medians of seconds by the clock and of processors, and peak memory
        (ru_maxrss). Trees are written by a process of their own: what a process is started from
        counts into its peak.
Claim   a question takes under 2 s of processor; rows and leaks of 10 million rollouts under 2 GiB.

Example: python -m benchmarks.audit_speed --repeats 5
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import measuring
from benchmarks.measuring import Spent
from stages.running.errors import command
from stages.running.publish import write_json

GROUP_SIZE = 10


class Answer(NamedTuple):
    """One question, asked in a process of its own."""

    question: str
    spent: Spent
    peak_mib: float
    exit_code: int


Questions = Mapping[str, Sequence[str]]
"""Command lines of an audit, by the names that the table gives them."""


def main(
    num_rounds: int = 30, num_rows: int = 10_000_000, repeats: int = 5, out: Path | None = None
) -> None:
    """Ask all of a chain of rounds, then `rows` and `leaks` of one round of `num_rows` rollouts."""
    with TemporaryDirectory() as name:
        place, last = Path(name), f"n{num_rounds}"
        grow(place / "chain", num_rounds, 512, 1)
        questions = {
            "show": ["show", last],
            "show --html": ["show", last, "--html", str(place / "page.html")],
            "rows": ["rows", last],
            "leaks": ["leaks", last],
            "diff": ["diff", "n1", last],
            "verify": ["verify", last],
            "export": ["export", last, "--folder", str(place / "exports")],
        }
        chain = ask_all(place / "chain", questions, repeats)
        print(table(f"{num_rounds} rounds", chain), flush=True)
        grow(place / "large", 1, num_rows // GROUP_SIZE, GROUP_SIZE)
        questions = {
            "rows": ["rows", "n1"],
            "rows .parquet": ["rows", "n1", "--out", str(place / "rows.parquet")],
            "leaks": ["leaks", "n1"],
        }
        large = ask_all(place / "large", questions, repeats=1)
        print(table(f"{num_rows:,} rows", large))
    if out is not None:
        write_json(out, {"chain": as_json(chain), "large": as_json(large)})


def grow(folder: Path, num_rounds: int, num_problems: int, group_size: int) -> None:
    """Write a tree, in a process of its own."""
    sizes = {"rounds": num_rounds, "problems": num_problems}
    program = [sys.executable, "-m", "benchmarks.audit_tree", "--folder", str(folder)]
    for name, size in sizes.items():
        program += [f"--num-{name}", str(size)]
    program += ["--group-size", str(group_size)]
    subprocess.run(program, check=True)


def ask_all(tree: Path, questions: Questions, repeats: int) -> list[Answer]:
    """Each question `repeats` times, one after another; medians."""
    answers = []
    for name, words in questions.items():
        answers.append(middle([ask(tree, name, words) for _ in range(repeats)]))
    return answers


def ask(tree: Path, question: str, words: Sequence[str]) -> Answer:
    """Ask one question of a tree, and see what it takes."""
    program = [sys.executable, "-m", "lineage", *words, "--repo", str(tree)]
    ended = measuring.run_program(program)
    return Answer(question, ended.spent, ended.peak_mib, ended.exit_code)


def as_json(answers: Sequence[Answer]) -> list[dict[str, str | float]]:
    """Answers by the names of their fields, what they took by its own."""
    rows = []
    for answer in answers:
        fields = answer._asdict()
        rows.append({**fields.pop("spent")._asdict(), **fields})
    return rows


def middle(answers: Sequence[Answer]) -> Answer:
    """Medians over repeats of one question; the worst of its exit codes."""
    spent = Spent(*measuring.medians([answer.spent for answer in answers]))
    [peak_mib] = measuring.medians([[answer.peak_mib] for answer in answers])
    exit_code = max(answer.exit_code for answer in answers)
    return Answer(answers[0].question, spent, peak_mib, exit_code)


def table(title: str, answers: Sequence[Answer]) -> str:
    """A line a question."""
    lines = []
    for answer in answers:
        seconds = [f"{value:.2f}" for value in answer.spent]
        rest = [f"{answer.peak_mib:,.0f}", str(answer.exit_code)]
        lines.append([answer.question, *seconds, *rest])
    return measuring.table((title, "wall s", "processor s", "peak MiB", "exit"), lines)


if __name__ == "__main__":
    command(main)
