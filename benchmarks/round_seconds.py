"""Where the seconds of every round, init and exam went, by the facts of runs that stages leave.

Reads   data/**/*.run.json (`stages.running.publish`), one file a stage's latest run.
Writes  three tables on stdout: seconds by part and phase, tokens/s, and memory by stage; with
        --json one object.
Method  `orchestration` is the time from the end of all earlier stages to the start of this one: the
        scheduler, DVC's hashing and caching, the interpreter's end. `startup` is a stage's time
        before its first phase: imports, engine or model load, input. `other` is the rest of it:
        writing tables, saving a policy. So a row adds up to its total, and with one stage at a time
        the totals to the time elapsed. A gap above `PAUSE_SECONDS` is a pause between two sittings
        and is left out.

Example: python -m benchmarks.round_seconds --json
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import tyro

from benchmarks import measuring
from benchmarks.measuring import MEBIBYTE
from stages.running.errors import BadInput, command
from stages.running.publish import read_json

PAUSE_SECONDS = 120.0
COLUMN_OF_PHASE = {"framing": "validation", "validating": "validation", "documenting": "validation"}
FIRST_COLUMNS = (
    *("orchestration", "startup", "sampling", "judging", "probing", "estimating"),
    *("validation", "training"),
)
LAST_COLUMNS = ("other", "total")
RATED_PHASES = ("sampling", "probing", "training")


@dataclass(frozen=True)
class StageRun:
    """One stage's latest run.

    `part` is the round, init or exam it belongs to, or the stage itself.
    """

    part: str
    stage: str
    started_at: float
    ended_at: float
    seconds: Mapping[str, float]
    counts: Mapping[str, float]
    peak_memory_bytes: int


def main(
    data: Path = Path("data"), as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
) -> None:
    """Print where the seconds went."""
    runs = read_runs(data)
    report = summary(runs)
    print(json.dumps(report, indent=2) if as_json else "\n\n".join(tables(report)))


def read_runs(data: Path) -> list[StageRun]:
    """The runs under `data`, in the order they started.

    Raises:
        BadInput: there are none.
    """
    files = sorted(data.rglob("*.run.json"))
    if not files:
        raise BadInput(
            f"{data} has no run facts (*.run.json): no stage has run here yet; "
            "`make iteration` runs them"
        )
    runs = [_read_run(file, data) for file in files]
    return sorted(runs, key=lambda run: run.started_at)


def summary(runs: Sequence[StageRun]) -> dict[str, Any]:
    """Seconds and tokens/s by part, facts by stage, and the time elapsed without pauses."""
    gaps = gap_seconds([run.started_at for run in runs], [run.ended_at for run in runs])
    pauses = [gap for gap in gaps if gap > PAUSE_SECONDS]
    parts: dict[str, dict[str, dict[str, float]]] = {}
    for run, gap in zip(runs, gaps, strict=True):
        part = parts.setdefault(run.part, {"seconds": {}, "tokens_per_second": {}})
        for column, seconds in _columns(run, 0.0 if gap > PAUSE_SECONDS else gap):
            part["seconds"][column] = part["seconds"].get(column, 0.0) + seconds
        part["tokens_per_second"].update(_rates(run))
    stages = dict.fromkeys(run.stage for run in runs)
    return {
        "parts": parts,
        "stages": {stage: _stage_facts(stage, runs) for stage in stages},
        "elapsed_seconds": max(run.ended_at for run in runs) - runs[0].started_at - sum(pauses),
        "num_pauses": len(pauses),
    }


def gap_seconds(started_at: Sequence[float], ended_at: Sequence[float]) -> list[float]:
    """Time from the latest end so far to each start; 0 for the first and where runs overlap."""
    gaps, latest = [], started_at[0]
    for start, end in zip(started_at, ended_at, strict=True):
        gaps.append(max(0.0, start - latest))
        latest = max(latest, end)
    return gaps


def tables(report: Mapping[str, Any]) -> Iterator[str]:
    """The summary as text."""
    seconds = {name: part["seconds"] for name, part in report["parts"].items()}
    total: Counter[str] = Counter()
    for row in seconds.values():
        total.update(row)
    others = sorted(total.keys() - {*FIRST_COLUMNS, *LAST_COLUMNS})
    columns = [column for column in (*FIRST_COLUMNS, *others, *LAST_COLUMNS) if column in total]
    yield _table("seconds", columns, {**seconds, "all": total}, ",.1f")

    rates = {name: part["tokens_per_second"] for name, part in report["parts"].items()}
    rated = {name: row for name, row in rates.items() if row}
    yield _table("tokens/s", RATED_PHASES, rated, ",.0f")

    facts = ("num_runs", "median_seconds", "peak_memory_mib")
    yield _table("stage", facts, report["stages"], ",.0f")
    yield f"{report['elapsed_seconds']:,.1f} s elapsed, {report['num_pauses']} pause(s) left out"


def _read_run(file: Path, data: Path) -> StageRun:
    facts = read_json(file)
    names = ("stage", "started_at", "ended_at", "seconds", "counts", "peak_memory_bytes")
    part = _part(file.relative_to(data), facts["stage"])
    return StageRun(part, **{name: facts[name] for name in names})


def _part(file: Path, stage: str) -> str:
    """The part that a run facts file's place and stage put it in."""
    folder, name = file.parts[0], file.name.removesuffix(".run.json")
    if folder == "rounds":
        return f"round {file.parts[1]}"
    if folder == "exams":
        return f"exam {file.parts[1]}"
    if folder == "policies" and stage == "update":
        return f"round {name}"
    return f"init {name}" if folder in ("policies", "demos") else stage


def _columns(run: StageRun, gap: float) -> Iterator[tuple[str, float]]:
    phases = {name: seconds for name, seconds in run.seconds.items() if name != "total"}
    yield "orchestration", gap
    yield from ((COLUMN_OF_PHASE.get(name, name), seconds) for name, seconds in phases.items())
    yield "other", run.seconds["total"] - sum(phases.values())
    yield "total", gap + run.seconds["total"]


def _rates(run: StageRun) -> dict[str, float]:
    """Tokens/s of the phase that went through them, where the stage counts tokens."""
    phases = [name for name in RATED_PHASES if name in run.seconds and "num_tokens" in run.counts]
    return {name: run.counts["num_tokens"] / run.seconds[name] for name in phases}


def _stage_facts(stage: str, runs: Sequence[StageRun]) -> dict[str, float]:
    stage_runs = [run for run in runs if run.stage == stage]
    return {
        "num_runs": len(stage_runs),
        "median_seconds": median(run.seconds["total"] for run in stage_runs),
        "peak_memory_mib": max(run.peak_memory_bytes for run in stage_runs) / MEBIBYTE,
    }


def _table(
    title: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, float]], form: str
) -> str:
    """Figures in one form; a column that a row has nothing for stays blank."""
    lines = []
    for name, row in rows.items():
        cells = [format(row[column], form) if column in row else "" for column in columns]
        lines.append([name, *cells])
    return measuring.table((title, *columns), lines)


if __name__ == "__main__":
    command(main)
