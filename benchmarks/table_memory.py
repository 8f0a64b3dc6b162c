"""How much memory the stages of a round and an exam of any length take, on made-up tables.

Reads   params.yaml, for its task and its recipe `information`.
Writes  under --folder the tables of a round and of an exam, unless they are there, and what the
        stages make of them, all or those of --stages. Prints rows, seconds by the clock and of
        processors, and peak memory of each.
Method  Rollouts are short and of a few kinds, 200 of each problem; an exam has as many answers as
        the round has rollouts, 40 samples of each problem at five budgets
        (`benchmarks.long_round`). Each stage is the process that `dvc repro` would start, its
        command line dvc.yaml's. Its memory is the sum of the resident sets of the
        process and all it started, the verifier's workers, ten times a second: pages that two share
        count twice, and a shorter peak may be missed. With --repeated the tables are those of a
        folder where all has run on fewer rollouts, again and again, so that the others can be
        measured without an hour of `score`.
Limits  The problems are read whole by design: memory grows with them, by a few KiB each, and not
        with rollouts.

Example: python -m benchmarks.table_memory --folder memory --num-rollouts 1_000_000
"""

import re
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml

from benchmarks import long_round, measuring
from benchmarks.long_round import GROUP_SIZE, NUM_SAMPLES, ROUND
from benchmarks.measuring import MEBIBYTE
from stages.contracts.format import write_format
from stages.contracts.params.whole import Params, load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import count_rows
from stages.contracts.tables.thoughts import THOUGHTS
from stages.contracts.verdict import EXACT, JUDGE_FILE
from stages.running.errors import MachineFailure, command
from stages.running.publish import write_json
from stages.tasks.formats import load_format
from stages.tasks.marks import marks_of

STAGES = (
    "score",
    "infogain",
    "grade",
    "evaluate",
)  # `validate` refuses problems that no task draws
RECIPE = "information"
PERIOD_SECONDS = 0.1
NOT_MEASURED = ("docs",)
"""Flags of stages that are left out: pages do not grow with rows."""


class Peak(NamedTuple):
    """What a stage took."""

    stage: str
    num_rows: int
    seconds: float
    processor_seconds: float
    mebibytes: float


def main(
    folder: Path,
    num_rollouts: int = 200_000,
    stages: tuple[str, ...] = STAGES,
    repeated: Path | None = None,
    out: Path | None = None,
) -> None:
    """Make the tables and run the stages; `num_rollouts` is rounded down to whole problems."""
    num_problems = max(2, num_rollouts // GROUP_SIZE)
    make(folder, num_problems, repeated)
    peaks = [run(stage, folder, num_problems * GROUP_SIZE) for stage in stages]
    header = ("stage", "rows", "seconds", "processor s", "MiB")
    print(measuring.table(header, map(line, peaks)))
    if out is not None:
        write_json(out, [peak._asdict() for peak in peaks])


def line(peak: Peak) -> list[str]:
    """A line of the table."""
    seconds = [f"{value:,.0f}" for value in (peak.seconds, peak.processor_seconds)]
    return [peak.stage, f"{peak.num_rows:,}", *seconds, f"{peak.mebibytes:,.0f}"]


def make(folder: Path, num_problems: int, repeated: Path | None) -> None:
    """Make the tables, anew or from those of a shorter round; nothing where they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = settings(folder / "params.yaml", num_problems)
    form = load_format(everything.task)
    renderer = Renderer(form.tokenizer([]))
    renderer.save(folder / "policy")
    write_format(folder / "text-format.json", marks_of(form))
    write_json(folder / "judge" / JUDGE_FILE, {"kind": EXACT})
    thoughts = folder / "thoughts.parquet"  # the last to be written
    if thoughts.exists() and count_rows(thoughts, THOUGHTS) == num_problems * NUM_SAMPLES:
        return
    long_round.write_problems(folder, num_problems, everything.task.name)
    if repeated is not None:
        long_round.repeat(repeated, folder, num_problems)
        return
    kinds = long_round.Kinds(renderer, form.cue)
    long_round.write_round(folder, num_problems, kinds)
    long_round.write_exam(folder, num_problems, kinds)


def settings(path: Path, num_problems: int) -> Params:
    """This repository's params, of a round as long as is asked for."""
    raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    sampling = {"num_problems": num_problems, "difficulties": [3], "group_size": GROUP_SIZE}
    raw["recipes"][RECIPE]["rollout"] |= {**sampling, "temperature": 1.0}
    raw["exam"]["temperatures"] = [1.0]  # both as in the rows of `long_round`
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load(path)


def arguments(stage: str, folder: Path) -> Iterator[str]:
    """The command line of a stage as dvc.yaml has it, each path one of the folder by its flag."""
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
    line = graph["stages"][stage]["do"]["cmd"].splitlines()[-1].replace("${key}", ROUND)
    _, _, _, *words = shlex.split(re.sub(r"\$\{.*?\}", "", line))  # python -m stages.<stage>
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = flag.removeprefix("--")
        if name in NOT_MEASURED:
            continue
        place = folder / ("policy" if name == "tokenizer" else "") / f"{name}{Path(value).suffix}"
        yield from (flag, str(place) if "/" in value else value)
    yield from ("--params-file", str(folder / "params.yaml"))


def run(stage: str, folder: Path, num_rows: int) -> Peak:
    """Run a stage to its end, looking at its memory.

    Raises:
        MachineFailure: it failed.
    """
    begin, peak = time.monotonic(), 0
    busy: dict[int, float] = {}
    program = [sys.executable, "-m", f"stages.{stage}", *arguments(stage, folder)]
    process = psutil.Popen(program)
    while process.poll() is None:
        peak = max(peak, look(process, busy))
        time.sleep(PERIOD_SECONDS)
    if process.returncode:
        raise MachineFailure(f"{shlex.join(program)} exited with {process.returncode}")
    seconds, processor_seconds = time.monotonic() - begin, sum(busy.values())
    print(f"{stage}: {seconds:.0f} s, {peak / MEBIBYTE:,.0f} MiB", file=sys.stderr, flush=True)
    return Peak(
        stage, num_rows, round(seconds, 1), round(processor_seconds, 1), round(peak / MEBIBYTE, 1)
    )


def look(process: psutil.Process, busy: dict[int, float]) -> int:
    """Resident bytes of a process and all it started; `busy` gets processor seconds of each."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
            times = one.cpu_times()
            busy[one.pid] = times.user + times.system
    except psutil.NoSuchProcess:  # it ended while it was looked at
        pass
    return total


if __name__ == "__main__":
    command(main)
