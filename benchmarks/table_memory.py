"""How much memory a round and an exam of any length take: score, infogain, validate and evaluate on
made-up tables.

Reads   params.yaml, for its task and its recipe `information`.
Writes  under --folder the tables of a round and of an exam, unless they are there, and what the
        four stages make of them, or those of --stages. Prints rows, seconds by the clock and of
        processor, and peak memory of each.
Method  Rollouts are short and of a few kinds, 200 of each problem; an exam has as many answers as
        the round has rollouts, 40 samples of each problem at five budgets. Each stage is the
        process that `dvc repro` would start. Its memory is the sum of the resident sets of the
        process and all it started, the verifier's workers, ten times a second: pages that two share
        count twice, and a shorter peak may be missed. With --repeated the tables are those of a
        folder where all has run on fewer rollouts, again and again, so that `validate` can be
        measured without an hour of `score`.
Limits  The problems are read whole by design: memory grows with them, by a few KiB each, and not
        with rollouts.

Example: python -m benchmarks.table_memory --folder memory --num-rollouts 1_000_000
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from stages.contracts.origin import Origin
from stages.contracts.params.whole import Params, load
from stages.contracts.render import Renderer
from stages.contracts.storage.contract import Table
from stages.contracts.storage.reading import count_rows, read_batches
from stages.contracts.storage.writing import table_writer
from stages.contracts.tables.all import TABLES
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.thoughts import THOUGHTS
from stages.contracts.verdict import EXACT
from stages.running.errors import BadInput, command
from stages.running.publish import write_json
from stages.tasks.formats import load_format

STAGES = ("score", "infogain", "validate", "evaluate")
ROUND, RECIPE, PARENT = "i1", "information", "r0"
GROUP_SIZE, NUM_SAMPLES, BUDGETS = 200, 40, (0, 9, 18, 36, 72)
BATCH_PROBLEMS = 100
PERIOD_SECONDS = 0.1
RIGHT, WRONG = "7 + 5 12 12 * 3 36", "7 - 5 2 2 * 3 6"
SAID = ("", f"{WRONG} <", f"{WRONG} < {RIGHT} =", f"{WRONG} = {WRONG} < {RIGHT} =")
TRAIN: dict[str, Any] = {"numbers": [3, 7, 5], "target": 36}
HELDOUT: dict[str, Any] = {"numbers": [7, 5, 3], "target": 36}
KNOWN_ANSWERS = ["7 + 5 12 12 * 3 36", "5 + 7 12 12 * 3 36"]


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
    peaks = []
    for stage in stages:
        peaks.append(peak := run(stage, folder, num_problems * GROUP_SIZE))
        times = f"{peak.seconds:8.0f} s, {peak.processor_seconds:8.0f} s of processor"
        print(f"{stage:9} {peak.num_rows:>11,} rows {times} {peak.mebibytes:8,.0f} MiB", flush=True)
    if out is not None:
        write_json(out, [peak._asdict() for peak in peaks])


def make(folder: Path, num_problems: int, repeated: Path | None) -> None:
    """Make the tables, where they are not of that many problems already, anew or from those of a
    shorter round.
    """
    folder.mkdir(parents=True, exist_ok=True)
    everything = settings(folder / "params.yaml", num_problems)
    form = load_format(everything.task)
    renderer = Renderer(form.tokenizer([]))
    renderer.save(folder / "policy")
    write_json(folder / "judge" / "judge.json", {"kind": EXACT})
    thoughts = folder / "thoughts.parquet"  # the last to be written
    if thoughts.exists() and count_rows(thoughts, THOUGHTS) == num_problems * NUM_SAMPLES:
        return
    write_problems(folder, num_problems, everything.task.name)
    if repeated is not None:
        repeat(repeated, folder, num_problems)
        return
    made = Kinds(renderer, form.cue)
    write_rounds(folder, num_problems, made, renderer)
    write_exam(folder, num_problems, made)


def settings(path: Path, num_problems: int) -> Params:
    """This repository's params, of a round as long as is asked for."""
    raw = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    asked = {"num_problems": num_problems, "difficulties": [3], "group_size": GROUP_SIZE}
    raw["recipes"][RECIPE]["rollout"] |= asked
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load(path)


class Kinds:
    """The kinds of completion there are: right and wrong answers after each of `SAID`."""

    def __init__(self, renderer: Renderer, cue: str) -> None:
        thoughts = [renderer.encode(text) for text in SAID for _ in (RIGHT, WRONG)]
        answers = [
            [*renderer.encode(f"{cue} {text}"), renderer.eos_token]
            for _ in SAID
            for text in (RIGHT, WRONG)
        ]
        completions = [
            [*thought, *answer] for thought, answer in zip(thoughts, answers, strict=True)
        ]
        self.thinking = pa.array(thoughts, pa.list_(pa.int32()))
        self.completion = pa.array(completions, pa.list_(pa.int32()))
        self.logprobs = pa.array(
            [[-0.5] * len(tokens) for tokens in completions], pa.list_(pa.float32())
        )
        self.origin = pa.array(
            [[Origin.SAMPLED] * len(tokens) for tokens in completions], pa.list_(pa.int8())
        )
        self.num_thinking_tokens = np.array([len(tokens) for tokens in thoughts])
        self.num_boundaries = np.array(
            [1 + text.count("=") + text.count("<") for text in SAID]
        ).repeat(2)

    def __len__(self) -> int:
        return len(self.thinking)


def write_problems(folder: Path, num_problems: int, task: str) -> None:
    """As many train problems as held-out ones; each split has one prompt."""
    with table_writer(folder / "problems.parquet", PROBLEMS) as to_problems:
        for split, asked in (("h", HELDOUT), ("t", TRAIN)):
            prompt = f"<bos> {' '.join(map(str, asked['numbers']))} T{asked['target']} :"
            to_problems.add(
                {
                    "problem_id": f"{split}{number:08d}",
                    "task": task,
                    "split": "train" if split == "t" else "heldout",
                    "difficulty": 3,
                    "prompt": prompt,
                    "answer": RIGHT,
                    "metadata": json.dumps(asked),
                    "seed": number,
                }
                for number in range(num_problems)
            )


def write_rounds(folder: Path, num_problems: int, made: Kinds, renderer: Renderer) -> None:
    """Rollouts, and probes of all their boundaries."""
    samples = np.array(sorted(range(GROUP_SIZE), key=str))  # the order of their names
    prompt = renderer.encode(f"<bos> {' '.join(map(str, TRAIN['numbers']))} T{TRAIN['target']} :")
    with (
        table_writer(folder / "rollouts.parquet", ROLLOUTS) as to_rollouts,
        table_writer(folder / "probes.parquet", PROBES) as to_probes,
    ):
        for start in range(0, num_problems, BATCH_PROBLEMS):
            numbers = range(start, min(start + BATCH_PROBLEMS, num_problems))
            names = [f"{ROUND}/t{number:08d}/{sample}" for number in numbers for sample in samples]
            kinds = np.random.default_rng(start).integers(0, len(made), len(names))
            seeds = start * GROUP_SIZE + np.arange(len(names))
            placed = {
                "sample_index": np.tile(samples, len(numbers)),
                "seed": seeds,
            }
            to_rollouts.add_table(rollouts(names, placed, kinds, prompt, made))
            to_probes.add_table(probes(names, kinds, made))


def rollouts(
    names: list[str],
    placed: dict[str, np.ndarray],
    kinds: np.ndarray,
    prompt: list[int],
    made: Kinds,
) -> pa.Table:
    """One rollout of each name."""
    size, places = len(names), pa.array(kinds)
    columns = {
        **placed,
        "rollout_id": names,
        "problem_id": [name.split("/")[1] for name in names],
        "policy_id": [PARENT] * size,
        "prompt_tokens": [prompt] * size,
        "completion_tokens": made.completion.take(places),
        "sampler_logprobs": made.logprobs.take(places),
        "token_origin": made.origin.take(places),
        "num_thinking_tokens": made.num_thinking_tokens[kinds],
        "finish_reason": ["stop"] * size,
        "temperature": np.ones(size),
    }
    return as_table(columns, ROLLOUTS)


def probes(names: list[str], kinds: np.ndarray, made: Kinds) -> pa.Table:
    """A row for each boundary: the known answers, likelier as the thinking goes on."""
    counts = made.num_boundaries[kinds]
    size = int(counts.sum())
    index = np.arange(size) - np.repeat(counts.cumsum() - counts, counts)
    tokens = (made.num_thinking_tokens[kinds] // np.maximum(1, counts - 1)).repeat(counts)
    each = np.float32(-3.0) + np.float32(0.25) * index.astype(np.float32)
    columns = {
        "rollout_id": pa.array(names).take(pa.array(np.repeat(np.arange(len(names)), counts))),
        "boundary_index": index,
        "position": index * tokens,
        "estimator": ["set_likelihood"] * size,
        "num_probes": np.full(size, len(KNOWN_ANSWERS)),
        "answers": [KNOWN_ANSWERS] * size,
        "answer_logprobs": pa.ListArray.from_arrays(
            pa.array(np.arange(size + 1) * len(KNOWN_ANSWERS), pa.int32()),
            pa.array(each.repeat(len(KNOWN_ANSWERS))),
        ),
        "gold_logprob_nats": each + np.float32(np.log(len(KNOWN_ANSWERS))),
        "value": [None] * size,
    }
    return as_table(columns, PROBES)


def write_exam(folder: Path, num_problems: int, made: Kinds) -> None:
    """Answers and thoughts of the held-out problems."""
    with (
        table_writer(folder / "answers.parquet", ANSWERS) as to_answers,
        table_writer(folder / "thoughts.parquet", THOUGHTS) as to_thoughts,
    ):
        for start in range(0, num_problems, BATCH_PROBLEMS):
            numbers = np.arange(start, min(start + BATCH_PROBLEMS, num_problems)).repeat(
                NUM_SAMPLES
            )
            kinds = np.random.default_rng(start).integers(0, len(made), len(numbers))
            thought = {
                "policy_id": [PARENT] * len(numbers),
                "problem_id": [f"h{number:08d}" for number in numbers],
                "sample_index": np.arange(len(numbers)) % NUM_SAMPLES,
            }
            tokens = {"thinking_tokens": made.thinking.take(pa.array(kinds))}
            to_thoughts.add_table(as_table({**thought, **tokens}, THOUGHTS))
            every = pa.array(np.arange(len(numbers)).repeat(len(BUDGETS)))
            budgets = np.tile(BUDGETS, len(numbers))
            used = np.minimum(budgets, made.num_thinking_tokens[kinds].repeat(len(BUDGETS)))
            told = {
                **{name: pa.array(values).take(every) for name, values in thought.items()},
                "budget_tokens": budgets,
                "used_tokens": used,
                "is_forced": used == budgets,
                "answer": pa.array([RIGHT, WRONG]).take(
                    pa.array((kinds.repeat(len(BUDGETS)) + budgets) % 2)
                ),
            }
            to_answers.add_table(as_table(told, ANSWERS))


def as_table(columns: dict[str, Any], table: Table) -> pa.Table:
    """Columns in the table's schema."""
    arrays = [
        values.cast(field.type) if isinstance(values, pa.Array) else pa.array(values, field.type)
        for field in table.schema
        for values in (columns[field.name],)
    ]
    return pa.Table.from_arrays(arrays, schema=table.schema)


def repeat(shorter: Path, folder: Path, num_problems: int) -> None:
    """Write what stages made of a shorter round, and its tables, again and again as those of later
    problems.
    """
    num_repeated = count_rows(shorter / "problems.parquet", PROBLEMS) // 2
    if num_problems % num_repeated:
        raise BadInput(
            f"{shorter} has {num_repeated} problems; ask for a multiple of {num_repeated * GROUP_SIZE} rollouts"
        )
    for name in ("rollouts", "probes", "scores", "segments", "gains", "answers", "thoughts"):
        table = TABLES[name]
        with table_writer(folder / f"{name}.parquet", table) as to_table:
            for start in range(0, num_problems, num_repeated):
                for batch in read_batches(shorter / f"{name}.parquet", table):
                    to_table.add_table(renamed(batch, start))


def renamed(batch: pa.Table, start: int) -> pa.Table:
    """Rows of problems `start` numbers later."""
    for name in ("rollout_id", "problem_id"):
        if name in batch.column_names:
            texts, at = batch[name], len(f"{ROUND}/t") if name == "rollout_id" else 1
            numbers = pc.add(pc.utf8_slice_codeunits(texts, at, at + 8).cast(pa.int32()), start)
            parts = (
                pc.utf8_slice_codeunits(texts, 0, at),
                pc.utf8_lpad(numbers.cast(pa.string()), 8, "0"),
                pc.utf8_slice_codeunits(texts, at + 8),
            )
            batch = set_column(batch, name, pc.binary_join_element_wise(*parts, ""))
    if "seed" in batch.column_names:
        batch = set_column(batch, "seed", pc.add(batch["seed"], start * GROUP_SIZE))
    return batch


def set_column(batch: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """The same rows with other values in a column."""
    place = batch.schema.get_field_index(name)
    return batch.set_column(
        place, batch.schema.field(name), values.cast(batch.schema.field(name).type)
    )


def arguments(stage: str, folder: Path) -> Iterator[str]:
    """The command line of a stage: its tables are files of the folder, by their flags."""
    of_stage = {
        "score": ("problems", "rollouts", "scores", "segments"),
        "infogain": ("problems", "rollouts", "probes", "gains"),
        "validate": ("problems", "rollouts", "scores", "segments", "probes", "gains"),
        "evaluate": ("problems", "answers", "thoughts", "grades"),
    }
    for flag in of_stage[stage]:
        yield from (f"--{flag}", str(folder / f"{flag}.parquet"))
    more: dict[str, dict[str, str | Path]] = {
        "score": {
            "round-id": ROUND,
            "judge": folder / "judge",
            "tokenizer": folder / "policy/tokenizer.json",
        },
        "infogain": {"round-id": ROUND},
        "validate": {
            "round-id": ROUND,
            "policy": folder / "policy",
            "validation": folder / "validation.json",
        },
        "evaluate": {
            "judge": folder / "judge",
            "tokenizer": folder / "policy/tokenizer.json",
            "metrics": folder / "metrics.json",
            "curve": folder / "curve.json",
        },
    }
    for flag, value in {**more[stage], "params-file": folder / "params.yaml"}.items():
        yield from (f"--{flag}", str(value))


def run(stage: str, folder: Path, num_rows: int) -> Peak:
    """Run a stage to its end, looking at its memory."""
    begin, peak = time.monotonic(), 0
    busy: dict[int, float] = {}
    process = psutil.Popen([sys.executable, "-m", f"stages.{stage}", *arguments(stage, folder)])
    while process.poll() is None:
        peak = max(peak, look(process, busy))
        time.sleep(PERIOD_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, stage)
    seconds = time.monotonic() - begin
    return Peak(
        stage, num_rows, round(seconds, 1), round(sum(busy.values()), 1), round(peak / 2**20, 1)
    )


def look(process: psutil.Process, busy: dict[int, float]) -> int:
    """Resident bytes of a process and of all it started; `busy` gets the processor seconds of each
    so far.
    """
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
