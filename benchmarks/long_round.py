"""Tables of a round and of an exam of any length, written some problems at a time.

Rollouts are short and of a few kinds: each table has a template, a row or some for each kind, whose
rows are taken again and again under the names of problems and rollouts.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from fixtures.rows import Row, row
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
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput

ROUND, SEED = "i1", 1
GROUP_SIZE, NUM_SAMPLES, BUDGETS = 200, 40, (0, 9, 18, 36, 72)
BATCH_PROBLEMS = 100
RIGHT, WRONG = "7 + 5 12 12 * 3 36", "7 - 5 2 2 * 3 6"
SAID = ("", f"{WRONG} <", f"{WRONG} < {RIGHT} =", f"{WRONG} = {WRONG} < {RIGHT} =")
PROMPTS = {"train": "<bos> 3 7 5 T36 :", "heldout": "<bos> 7 5 3 T36 :"}
METADATA = {
    "train": {"numbers": [3, 7, 5], "target": 36},
    "heldout": {"numbers": [7, 5, 3], "target": 36},
}
KNOWN_ANSWERS = ["7 + 5 12 12 * 3 36", "5 + 7 12 12 * 3 36"]
OF_ROUND = ("rollouts", "probes", "scores", "segments", "gains", "answers", "thoughts")

Places = Int[np.ndarray, " row"]


class Kinds:
    """The kinds of completion there are: right and wrong answers after each of `SAID`."""

    def __init__(self, renderer: Renderer, cue: str) -> None:
        rollouts, thoughts, starts = [], [], []
        probes: list[Row] = []
        answers: list[Row] = []
        prompt = renderer.encode(PROMPTS["train"])
        for number, (said, answer) in enumerate(product(SAID, (RIGHT, WRONG))):
            thought = renderer.encode(said)
            completion = [*thought, *renderer.encode(f"{cue} {answer}"), renderer.eos_token]
            made = {"completion_tokens": completion, "num_thinking_tokens": len(thought)}
            rollouts.append(row(ROLLOUTS, prompt_tokens=prompt, **made))
            thoughts.append(row(THOUGHTS, thinking_tokens=thought))
            starts.append(len(probes))
            probes += probes_of(len(thought), said.count("=") + said.count("<"))
            answers += answers_of(number, len(thought))
        self.rollouts, self.probes = as_table(rollouts, ROLLOUTS), as_table(probes, PROBES)
        self.thoughts, self.answers = as_table(thoughts, THOUGHTS), as_table(answers, ANSWERS)
        self.first_probe = np.array(starts)
        self.num_probes = np.diff([*starts, len(probes)])

    def __len__(self) -> int:
        return self.rollouts.num_rows

    def probes_of(self, kinds: Places) -> tuple[Places, Places]:
        """Of each probe of some rollouts, the rollout it is of, and its place in the template."""
        counts = self.num_probes[kinds]
        owners = np.repeat(np.arange(len(kinds)), counts)
        index = np.arange(len(owners)) - np.repeat(counts.cumsum() - counts, counts)
        return owners, self.first_probe[kinds][owners] + index


def probes_of(num_tokens: int, num_segments: int) -> Iterator[Row]:
    """Known answers, likelier as the thinking goes on, at the boundaries of equal segments."""
    for index in range(num_segments + 1):
        yield row(
            PROBES,
            boundary_index=index,
            position=index * num_tokens // max(1, num_segments),
            estimator="set_likelihood",
            answers=KNOWN_ANSWERS,
            answer_logprobs=[0.25 * index - 3.0] * len(KNOWN_ANSWERS),
        )


def answers_of(kind: int, num_tokens: int) -> Iterator[Row]:
    """An answer at each budget, right or wrong in turn."""
    for budget in BUDGETS:
        used, answer = min(budget, num_tokens), (RIGHT, WRONG)[(kind + budget) % 2]
        made = {"budget_tokens": budget, "used_tokens": used, "is_forced": used == budget}
        yield row(ANSWERS, answer=answer, **made)


def as_table(rows: list[Row], table: Table) -> pa.Table:
    """Rows in the table's schema."""
    return pa.Table.from_pylist(rows, table.schema)


def write_problems(folder: Path, num_problems: int, task: str) -> None:
    """As many train problems as held-out ones; each split has one prompt."""
    with table_writer(folder / "problems.parquet", PROBLEMS) as to_problems:
        for split in ("heldout", "train"):
            to_problems.add(problem_rows(split, num_problems, task))


def problem_rows(split: str, num_problems: int, task: str) -> Iterator[dict[str, Any]]:
    """Problems of one prompt and answer, in the order of their names, of metadata of their own."""
    made = {"split": split, "prompt": PROMPTS[split], "task": task, "answer": RIGHT}
    for number in range(num_problems):
        name = f"{split[0]}{number:08d}"
        metadata = json.dumps({**METADATA[split], "name": name})
        yield row(PROBLEMS, problem_id=name, metadata=metadata, **made)


def write_round(folder: Path, num_problems: int, kinds_of_all: Kinds) -> None:
    """Rollouts, and probes of all their boundaries."""
    samples = np.array(sorted(range(GROUP_SIZE), key=str))  # the order of their names
    with (
        table_writer(folder / "rollouts.parquet", ROLLOUTS) as to_rollouts,
        table_writer(folder / "probes.parquet", PROBES) as to_probes,
    ):
        for numbers in batches(num_problems):
            problems = np.repeat([f"t{number:08d}" for number in numbers], GROUP_SIZE)
            index = np.tile(samples, len(numbers))
            names = np.array([f"{ROUND}/{p}/{i}" for p, i in zip(problems, index, strict=True)])
            kinds = np.random.default_rng(numbers.start).integers(0, len(kinds_of_all), len(names))
            placed = {"rollout_id": names, "problem_id": problems, "sample_index": index}
            seeds = seeds_of(problems, index)
            to_rollouts.add_table(taken(kinds_of_all.rollouts, kinds, **placed, seed=seeds))
            owners, places = kinds_of_all.probes_of(kinds)
            to_probes.add_table(taken(kinds_of_all.probes, places, rollout_id=names[owners]))


def write_exam(folder: Path, num_problems: int, kinds_of_all: Kinds) -> None:
    """Answers and thoughts of the held-out problems."""
    with (
        table_writer(folder / "answers.parquet", ANSWERS) as to_answers,
        table_writer(folder / "thoughts.parquet", THOUGHTS) as to_thoughts,
    ):
        for numbers in batches(num_problems):
            problems = np.repeat([f"h{number:08d}" for number in numbers], NUM_SAMPLES)
            index = np.arange(len(problems)) % NUM_SAMPLES
            rng = np.random.default_rng(numbers.start)
            kinds = rng.integers(0, len(kinds_of_all), len(problems))
            placed = {"problem_id": problems, "sample_index": index}
            to_thoughts.add_table(taken(kinds_of_all.thoughts, kinds, **placed))
            owners = np.repeat(np.arange(len(kinds)), len(BUDGETS))
            places = kinds[owners] * len(BUDGETS) + np.tile(np.arange(len(BUDGETS)), len(kinds))
            placed = {name: values[owners] for name, values in placed.items()}
            to_answers.add_table(taken(kinds_of_all.answers, places, **placed))


def batches(num_problems: int) -> Iterator[range]:
    """Numbers of problems, some at a time."""
    for start in range(0, num_problems, BATCH_PROBLEMS):
        yield range(start, min(start + BATCH_PROBLEMS, num_problems))


def taken(template: pa.Table, places: Places, **columns: np.ndarray | pa.Array) -> pa.Table:
    """Rows of a template, these columns replaced."""
    made = template.take(pa.array(places))
    for name, values in columns.items():
        made = with_column(made, name, pa.chunked_array([pa.array(values)]))
    return made


def repeat(shorter: Path, folder: Path, num_problems: int) -> None:
    """Write a shorter round's tables again and again, each time as those of later problems.

    Raises:
        BadInput: the problems are no multiple of the shorter round's.
    """
    num_repeated = count_rows(shorter / "problems.parquet", PROBLEMS) // 2
    if num_problems % num_repeated:
        raise BadInput(
            f"{shorter} has {num_repeated} problems; "
            f"ask for a multiple of {num_repeated * GROUP_SIZE} rollouts"
        )
    for name in OF_ROUND:
        table = TABLES[name]
        with table_writer(folder / f"{name}.parquet", table) as to_table:
            for start in range(0, num_problems, num_repeated):
                for batch in read_batches(shorter / f"{name}.parquet", table):
                    to_table.add_table(renamed(batch, start))


def renamed(batch: pa.Table, start: int) -> pa.Table:
    """Rows of problems `start` numbers later."""
    for name, at in (("rollout_id", len(f"{ROUND}/t")), ("problem_id", 1)):
        if name in batch.column_names:
            texts = batch[name]
            numbers = pc.add(pc.utf8_slice_codeunits(texts, at, at + 8).cast(pa.int32()), start)
            words = (
                pc.utf8_slice_codeunits(texts, 0, at),
                pc.utf8_lpad(numbers.cast(pa.string()), 8, "0"),
                pc.utf8_slice_codeunits(texts, at + 8),
            )
            batch = with_column(batch, name, pc.binary_join_element_wise(*words, ""))
    if "seed" in batch.column_names:
        names, index = batch["problem_id"].to_pylist(), batch["sample_index"].to_pylist()
        batch = with_column(batch, "seed", pa.chunked_array([pa.array(seeds_of(names, index))]))
    return batch


def seeds_of(problems: Iterable[str], samples: Iterable[int]) -> np.ndarray:
    """The seeds that `rollout` would draw with."""
    names = zip(problems, samples, strict=True)
    return np.array([derive_seed("rollout", SEED, problem, sample) for problem, sample in names])


def with_column(batch: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """The same rows with other values in a column."""
    place, field = batch.schema.get_field_index(name), batch.schema.field(name)
    return batch.set_column(place, field, values.cast(field.type))
