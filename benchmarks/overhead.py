"""What DVC, Prefect, Great Expectations and processes' starts cost a round, as rounds add up.

Reads   this working tree. Writes its own checkouts under --folder, which a later run finds
        finished.
Writes  tables on stdout; with --out the figures as JSON.
Method  `rounds`: a checkout whose stages write one word and end, so that what is left is DVC: a
        round is added to a chain and `dvc repro` runs its stages, `compare` and `report`; then `dvc
        repro` with nothing to do; then a round by the Prefect flow (`knowhow train`), server and
        all. Seconds by the clock, and of processors.
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
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks import measuring
from benchmarks.measuring import Spent
from fixtures.checkouts import check_out, environment, succeed
from stages.running.errors import MachineFailure, command
from stages.running.publish import read_json, write_json

CLAIMED_SECONDS, CLAIMED_GPU_SECONDS = 60.0, 36.0
ROUND, ROUND_STAGES = "s1", ("rollout", "score", "probe", "infogain", "validate", "update")
WORK = ("sampling", "judging", "probing", "estimating", "training")
VALIDATION = ("framing", "validating", "documenting")
IMPORTS = ("pass", "stages.contracts.storage.reading", "dvc.cli", "prefect", "great_expectations")
IMPORTS_OF_ENGINES = ("stages.engines.policy", "stages.engines.samplers.vllm")
COMMANDS = ("add one", "nothing to do", "add by flow")
WARM = [sys.executable, "-m", "flows.warm"]
FLOW = [sys.executable, "-m", "flows.cli", "train"]


class Growth(NamedTuple):
    """At a chain of `num_rounds`: a round added by `dvc repro`, nothing to do, one by the flow."""

    num_rounds: int
    num_stages: int
    add: Spent
    nothing: Spent
    flow: Spent | None
    """None where no flow was run."""

    def as_json(self) -> dict[str, Any]:
        """Its fields by name."""
        fields = self._asdict()
        for name in ("add", "nothing", "flow"):
            fields[name] = fields[name] and fields[name]._asdict()
        return fields


class Advantage(NamedTuple):
    """Seconds of one real round's six stages, by what they went to; they add up to the total."""

    total: float
    work: float
    startup: float
    validation: float
    other: float
    dvc: float


Rounds = Mapping[str, Sequence[Advantage]]
"""Of each way to run them, `cold` and `warm`, turn by turn."""


def main(
    folder: Path = Path(".venv/var/overhead"),
    sizes: tuple[int, ...] = (1, 2, 5, 10, 20, 30),
    flow_sizes: tuple[int, ...] = (1, 10, 30),
    repeats: int = 3,
    out: Path | None = None,
) -> None:
    """Measure growth over `sizes`, a flow at `flow_sizes`, one round's stages `repeats` times."""
    os.environ.update(OMP_WAIT_POLICY="PASSIVE", PREFECT_LOGGING_LEVEL="WARNING")
    growth = list(grow(hollow(folder / "hollow"), sizes, flow_sizes))
    tree = finished(folder / "tiny")
    imports = {name: time_import(name, tree) for name in (*IMPORTS, *IMPORTS_OF_ENGINES)}
    ways = {
        "cold": lambda: run_round(tree, is_warm=False),
        "warm": lambda: run_round(tree, is_warm=True),
    }
    turns = measuring.take_turns(ways, repeats)
    rounds = {way: measuring.results(of_way) for way, of_way in turns.items()}
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
        outs = chain.from_iterable(entry.get(kind, []) for kind in ("outs", "metrics", "plots"))
        paths = [next(iter(out)) if isinstance(out, dict) else out for out in outs]
        entry["cmd"] = " && ".join(write_word(path) for path in paths)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False, width=1000))
    return folder


def write_word(out: str) -> str:
    """Shell words that make an output, a JSON text of its own name; of a folder, what is read."""
    files = [out] if Path(out).suffix else [f"{out}/config.json", f"{out}/tokenizer.json"]
    return " && ".join(f"mkdir -p {Path(f).parent} && echo '\"{out}\"' > {f}" for f in files)


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
    """Write what the rounds' stages would, and have DVC take it as theirs: quicker than runs."""
    graph = yaml.safe_load((tree / "dvc.yaml").read_text())["stages"]
    words = []
    for number, stage in product(range(1, num_rounds + 1), ROUND_STAGES):
        words.append(graph[stage]["do"]["cmd"].replace("${key}", f"n{number}"))
    if words:
        succeed(["dvc", "repro", "code"], tree)
        succeed(["sh", "-c", " && ".join(words)], tree)
        succeed(["dvc", "commit", "--force", *ROUND_STAGES], tree)


def set_rounds(tree: Path, num_rounds: int, branch: str = "") -> None:
    """Write a chain n1, n2 and on to params.yaml; `branch` names a round beside its last one."""
    settings = yaml.safe_load((tree / "params.yaml").read_text())
    usual = {"reference": "r0", "recipe": "sampled", "judge": "exact"}
    rounds = {}
    parent = "r0"
    for number in range(1, num_rounds + 1):
        rounds[f"n{number}"] = {"parent": parent, **usual, "seed": number}
        parent = f"n{number}"
    if branch:
        rounds[f"{branch}{num_rounds}"] = {"parent": parent, **usual, "seed": 1}
    settings.update(rounds=rounds, exams={"r0": {"judge": "exact"}})
    (tree / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))


def count_stages(tree: Path) -> int:
    """In dvc.lock."""
    return len(yaml.load((tree / "dvc.lock").read_text(), Loader=yaml.CSafeLoader)["stages"])


def run_in(tree: Path, program: list[str]) -> Spent:
    """Time a command that must succeed.

    Raises:
        MachineFailure: it did not.
    """
    ended = measuring.run_program(program, tree, environment())
    if ended.exit_code:
        raise MachineFailure(
            f"{shlex.join(program)} exited with {ended.exit_code} in {tree}; see what it said above"
        )
    return ended.spent


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


def run_round(tree: Path, is_warm: bool) -> Advantage:
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


def parts(total: float, facts: Sequence[Mapping[str, Any]]) -> Advantage:
    """One round's parts, from the run facts of its stages and the seconds from end to end."""
    seconds: Counter[str] = Counter()
    for stage in facts:
        seconds.update(stage["seconds"])
    work = sum(seconds[name] for name in WORK)
    validation = sum(seconds[name] for name in VALIDATION)
    other = seconds["total"] - work - seconds["startup"] - validation
    between = total - seconds["total"]
    return Advantage(total, work, seconds["startup"], validation, other, between)


def overhead(growth: Growth, rounds: Sequence[Advantage]) -> float:
    """A round's seconds beside its work, at the length of that chain."""
    [startup, validation, other] = measuring.medians(
        [(one.startup, one.validation, one.other) for one in rounds]
    )
    return growth.add.seconds + startup + validation + other


def as_json(growth: Sequence[Growth], imports: Mapping[str, float], rounds: Rounds) -> Any:
    """All figures, and a round's overhead at each length of the chain."""
    rows = []
    for row in growth:
        overheads = {way: overhead(row, of_way) for way, of_way in rounds.items()}
        rows.append({**row.as_json(), "overhead": overheads})
    parts = {}
    for way, of_way in rounds.items():
        parts[way] = [one._asdict() for one in of_way]
    return {"growth": rows, "import_processor_seconds": dict(imports), "rounds": parts}


def table(growth: Sequence[Growth], imports: Mapping[str, float], rounds: Rounds) -> str:
    """Growth, imports, a round's parts, and whether the claim holds."""
    last = overhead(growth[-1], rounds["warm"])
    claims = []
    for bound in (CLAIMED_SECONDS, CLAIMED_GPU_SECONDS):
        claims.append(f"under {bound:g} s: {measuring.verdict(last < bound)}")
    return "\n".join(
        [
            "seconds by the clock (of processors) with stages that do nothing",
            measuring.table(
                ("rounds", "stages", *COMMANDS, *rounds),
                [growth_line(row, rounds) for row in growth],
            ),
            "`cold` and `warm`: a round's overhead by `dvc repro`, from `add one` and the medians",
            "",
            measuring.table(
                ("real", *Advantage._fields), [parts_line(way, rounds[way]) for way in rounds]
            ),
            "",
            f"processor seconds of a process that imports: {json.dumps(dict(imports))}",
            f"claim, warm at {growth[-1].num_rounds} rounds {last:.1f} s, " + "; ".join(claims),
        ]
    )


def growth_line(row: Growth, rounds: Rounds) -> list[str]:
    """A line of the first table."""
    commands = [both(spent) if spent else "" for spent in (row.add, row.nothing, row.flow)]
    overheads = [f"{overhead(row, of_way):.1f}" for of_way in rounds.values()]
    return [str(row.num_rounds), str(row.num_stages), *commands, *overheads]


def parts_line(way: str, rounds: Sequence[Advantage]) -> list[str]:
    """A line of the second table: medians."""
    return [way, *(f"{seconds:.1f}" for seconds in measuring.medians(rounds))]


def both(spent: Spent) -> str:
    """By the clock, and of processors."""
    return f"{spent.seconds:.1f} ({spent.processor_seconds:.1f})"


if __name__ == "__main__":
    command(main)
