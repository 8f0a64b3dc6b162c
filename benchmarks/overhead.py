"""What DVC, Prefect, Great Expectations and the start of processes cost a round, and how that grows
with the rounds.

Reads   this working tree. Writes its own checkouts under --folder, which a later run finds
        finished.
Writes  tables on stdout; with --out the figures as JSON.
Method  `rounds`: a checkout whose stages write one word and end, so that what is left is DVC: a
        round is added to a chain and `dvc repro` runs its stages, `compare` and `report`; then `dvc
        repro` with nothing to do; then a round by the Prefect flow (`knowhow train`), server and
        all. Seconds by the clock, and of processors, which other jobs on the machine disturb least.
        `stages`: a checkout of the tiny profile, finished; one real round's six stages by `dvc
        repro --force`, `cold` with a process of its own for each stage, `warm` forked by
        `flows.warm` once its libraries are loaded, in turn. The stages' run facts tell what was
        work (sampling, judging, probing, estimating, training); the rest is start-up (interpreter,
        imports, engine), Great Expectations (framing, validating), other (reading, writing), and
        between stages DVC. A round's overhead is that rest at a round of the chain: DVC as it grew,
        the other three as measured.
Claim   under 60 s a round, and under 36 s, 2% of a GPU round of 30 minutes, warm by `dvc repro` at
        30 rounds.

Example: python -m benchmarks.overhead --folder .venv/var/overhead
"""

import json
import os
import resource
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml

from stages.running.errors import command
from stages.running.publish import read_json, write_json
from tests.conftest import check_out, succeed

CLAIMED_SECONDS, CLAIMED_GPU_SECONDS = 60.0, 36.0
ROUND, ROUND_STAGES = "s1", ("rollout", "score", "probe", "infogain", "validate", "update")
WORK = ("sampling", "judging", "probing", "estimating", "training")
VALIDATION = ("framing", "validating", "documenting")
IMPORTS = ("pass", "stages.contracts.tables", "dvc.cli", "prefect", "great_expectations")
IMPORTS_OF_ENGINES = ("stages.engines.policy", "stages.engines.samplers.vllm")
WARM = [sys.executable, "-m", "flows.warm"]
FLOW = [sys.executable, "-m", "flows.cli", "train"]


class Spent(NamedTuple):
    """One command: by the clock, and of processors, its children's included."""

    seconds: float
    processor_seconds: float


class Growth(NamedTuple):
    """At a chain of `num_rounds`: a round added by `dvc repro`, nothing to do, and where asked a
    round by the flow.
    """

    num_rounds: int
    num_stages: int
    add: Spent
    nothing: Spent
    flow: Spent | None


class Parts(NamedTuple):
    """Seconds of one real round's six stages."""

    total: float
    work: float
    startup: float
    validation: float
    other: float
    dvc: float


def main(
    folder: Path = Path(".venv/var/overhead"),
    sizes: tuple[int, ...] = (1, 2, 5, 10, 20, 30),
    flow_sizes: tuple[int, ...] = (1, 10, 30),
    repeats: int = 3,
    out: Path | None = None,
) -> None:
    """Measure the growth over `sizes`, a flow at `flow_sizes`, and the stages of one round
    `repeats` times.
    """
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", PREFECT_LOGGING_LEVEL="WARNING")
    growth = list(grow(hollow(folder / "hollow"), sizes, flow_sizes))
    tree = finished(folder / "tiny")
    imports = {name: time_import(name, tree) for name in (*IMPORTS, *IMPORTS_OF_ENGINES)}
    rounds: dict[str, list[Parts]] = {"cold": [], "warm": []}
    for _ in range(repeats):
        for way, found in rounds.items():
            found.append(run_round(tree, is_warm=way == "warm"))
            print(way, found[-1], file=sys.stderr, flush=True)
    print(table(growth, imports, rounds))
    if out is not None:
        write_json(out, as_json(growth, imports, rounds))


def hollow(folder: Path) -> Path:
    """A checkout whose stages write one word into each of their outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    check_out(folder, "tiny")
    (folder / "data/rounds").mkdir()
    graph = yaml.safe_load((folder / "dvc.yaml").read_text())
    for stage in graph["stages"].values():
        entry = stage.get("do", stage)
        kinds = [entry.get(kind, []) for kind in ("outs", "metrics", "plots")]
        outs = [next(iter(out)) if isinstance(out, dict) else out for kind in kinds for out in kind]
        entry["cmd"] = " && ".join(write_word(out) for out in outs)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False, width=1000))
    return folder


def write_word(out: str) -> str:
    """Shell words that make an output: a JSON text of its own name; a folder holds it as the
    tokenizer that is read.
    """
    file = Path(out) if Path(out).suffix else Path(out) / "tokenizer.json"
    return f"mkdir -p {file.parent} && echo '\"{out}\"' > {file}"


def grow(tree: Path, sizes: Sequence[int], flow_sizes: Sequence[int]) -> Iterator[Growth]:
    """Bring the chain to one short of each size, then add the round that is timed."""
    for size in sizes:
        set_rounds(tree, size - 1)
        fill(tree, size - 1)
        run_in(tree, ["dvc", "repro"])
        set_rounds(tree, size)
        added, idle = (run_in(tree, ["dvc", "repro"]) for _ in range(2))
        num_stages, flow = count_stages(tree), None
        if size in flow_sizes:
            set_rounds(tree, size, branch="f")
            flow = run_in(tree, FLOW)
        yield Growth(size, num_stages, added, idle, flow)


def fill(tree: Path, num_rounds: int) -> None:
    """Write what the rounds' stages would, and have DVC take it as theirs: quicker than to run
    each.
    """
    graph = yaml.safe_load((tree / "dvc.yaml").read_text())["stages"]
    words = [
        graph[stage]["do"]["cmd"].replace("${key}", f"n{n}")
        for n in range(1, num_rounds + 1)
        for stage in ROUND_STAGES
    ]
    if words:
        succeed(["dvc", "repro", "code"], tree)
        succeed(["sh", "-c", " && ".join(words)], tree)
        succeed(["dvc", "commit", "--force", *ROUND_STAGES], tree)


def set_rounds(tree: Path, num_rounds: int, branch: str = "") -> None:
    """A chain n1, n2 and on in params.yaml, and a round beside its last one where `branch` names
    it.
    """
    settings = yaml.safe_load((tree / "params.yaml").read_text())
    usual = {"reference": "r0", "recipe": "sampled", "judge": "exact"}
    rounds = {
        f"n{n}": {"parent": f"n{n - 1}" if n > 1 else "r0", **usual, "seed": n}
        for n in range(1, num_rounds + 1)
    }
    if branch:
        rounds[f"{branch}{num_rounds}"] = {"parent": f"n{num_rounds}", **usual, "seed": 1}
    settings.update(rounds=rounds, exams={"r0": {"judge": "exact"}})
    (tree / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))


def count_stages(tree: Path) -> int:
    """In dvc.lock."""
    return len(yaml.load((tree / "dvc.lock").read_text(), Loader=yaml.CSafeLoader)["stages"])


def run_in(tree: Path, program: list[str]) -> Spent:
    """Time a command that must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    succeed(program, tree)
    seconds = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def finished(folder: Path) -> Path:
    """A checkout of the tiny profile after `dvc repro`: some minutes, once."""
    if not (folder / "dvc.lock").exists():
        folder.mkdir(parents=True, exist_ok=True)
        check_out(folder, "tiny")
        succeed([*WARM, "dvc", "repro"], folder)
    return folder


def time_import(name: str, tree: Path) -> float:
    """Processor seconds of an interpreter that imports a module and ends; the second of two."""
    words = [sys.executable, "-c", name if name == "pass" else f"import {name}"]
    return [run_in(tree, words).processor_seconds for _ in range(2)][-1]


def run_round(tree: Path, is_warm: bool) -> Parts:
    """One round's stages anew, the outputs in place of equal ones."""
    stages = [f"{stage}@{ROUND}" for stage in ROUND_STAGES]
    repro = shlex.join(["dvc", "repro", "--force", "--single-item", *stages])
    times = "python -c 'import time; print(time.time())'"
    wait = 'while [ ! -S "$KNOWHOW_WARM" ]; do sleep 0.1; done; ' if is_warm else ""
    script = f"{wait}{times} > begin.txt; {repro} && {times} > end.txt"
    succeed([*(WARM if is_warm else []), "sh", "-c", script], tree)
    total = float((tree / "end.txt").read_text()) - float((tree / "begin.txt").read_text())
    return parts(total, [read_json(file) for file in facts_files(tree)])


def facts_files(tree: Path) -> list[Path]:
    """What the round's six stages left behind of their last run."""
    return [
        *sorted((tree / "data/rounds" / ROUND).glob("*.run.json")),
        tree / f"data/policies/{ROUND}.run.json",
    ]


def parts(total: float, facts: Sequence[Mapping[str, Any]]) -> Parts:
    """A round's seconds by what they went to; they add up to the total."""

    def sum_of(names: Sequence[str]) -> float:
        return sum(own["seconds"].get(name, 0.0) for own in facts for name in names)

    within = sum_of(["total"])
    work, startup, validation = sum_of(WORK), sum_of(["startup"]), sum_of(VALIDATION)
    return Parts(
        total, work, startup, validation, within - work - startup - validation, total - within
    )


def overhead(growth: Growth, rounds: Sequence[Parts]) -> float:
    """A round's seconds beside its work, at the length of that chain."""
    apart = (
        median(values)
        for values in zip(*((p.startup, p.validation, p.other) for p in rounds), strict=True)
    )
    return growth.add.seconds + sum(apart)


def as_json(
    growth: Sequence[Growth], imports: Mapping[str, float], rounds: Mapping[str, Sequence[Parts]]
) -> dict[str, Any]:
    """All figures, and a round's overhead at each length of the chain."""
    rows = []
    for row in growth:
        flow = None if row.flow is None else row.flow._asdict()
        own = {way: overhead(row, found) for way, found in rounds.items()}
        rows.append(
            {
                **row._asdict(),
                "add": row.add._asdict(),
                "nothing": row.nothing._asdict(),
                "flow": flow,
                "overhead": own,
            }
        )
    found = {way: [one._asdict() for one in own] for way, own in rounds.items()}
    return {"growth": rows, "import_processor_seconds": dict(imports), "rounds": found}


def table(
    growth: Sequence[Growth], imports: Mapping[str, float], rounds: Mapping[str, Sequence[Parts]]
) -> str:
    """Growth, imports, a round's parts, and whether the claim holds."""
    lines = ["seconds by the clock (of processors) with stages that do nothing"]
    lines.append(
        f"{'rounds':>6}{'stages':>8}{'add one':>16}{'nothing to do':>16}{'add by flow':>16}{'cold':>8}{'warm':>8}"
    )
    for row in growth:
        flow = spent(row.flow) if row.flow else ""
        own = "".join(f"{overhead(row, rounds[way]):8.1f}" for way in ("cold", "warm"))
        lines.append(
            f"{row.num_rounds:6}{row.num_stages:8}{spent(row.add):>16}{spent(row.nothing):>16}{flow:>16}{own}"
        )
    lines.append(
        "`cold` and `warm`: a round's overhead by `dvc repro`, from `add one` and the medians below"
    )
    lines.append(f"\n{'real':6}" + "".join(f"{name:>12}" for name in Parts._fields))
    for way, found in rounds.items():
        lines.append(
            f"{way:6}" + "".join(f"{median(values):12.1f}" for values in zip(*found, strict=True))
        )
    lines.append("\nprocessor seconds of a process that imports: " + json.dumps(dict(imports)))
    last = overhead(growth[-1], rounds["warm"])
    verdicts = (
        f"{bound:g} s: {'holds' if last < bound else 'DOES NOT HOLD'}"
        for bound in (CLAIMED_SECONDS, CLAIMED_GPU_SECONDS)
    )
    lines.append(
        f"claim, warm at {growth[-1].num_rounds} rounds {last:.1f} s, under "
        + "; under ".join(verdicts)
    )
    return "\n".join(lines)


def spent(found: Spent) -> str:
    """By the clock, and of processors."""
    return f"{found.seconds:.1f} ({found.processor_seconds:.1f})"


if __name__ == "__main__":
    command(main)
