"""A long round's tables keep their contracts, and one made of a short one is of other problems."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from benchmarks.long_round import (
    BUDGETS,
    GROUP_SIZE,
    NUM_SAMPLES,
    SEED,
    Kinds,
    renamed,
    write_exam,
    write_problems,
    write_round,
)
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.answers import ANSWERS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.thoughts import THOUGHTS
from stages.pure.seeds import derive_seed
from stages.tasks.formats import load_format

NUM_PROBLEMS = 101


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of one problem more than are written at once."""
    folder = tmp_path_factory.mktemp("round")
    task = load(Path("params.yaml")).task
    form = load_format(task)
    kinds = Kinds(Renderer(form.tokenizer([])), form.cue)
    write_problems(folder, NUM_PROBLEMS, task.name)
    write_round(folder, NUM_PROBLEMS, kinds)
    write_exam(folder, NUM_PROBLEMS, kinds)
    return folder


def test_problems_are_of_both_splits(folder: Path) -> None:
    split = read_table(folder / "problems.parquet", PROBLEMS)["split"].to_pylist()
    assert Counter(split) == {"train": NUM_PROBLEMS, "heldout": NUM_PROBLEMS}


def test_every_problem_has_its_group_and_every_boundary_its_probe(folder: Path) -> None:
    rollouts = read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist()
    assert set(Counter(row["problem_id"] for row in rollouts).values()) == {GROUP_SIZE}
    assert len({row["seed"] for row in rollouts}) == len(rollouts) == NUM_PROBLEMS * GROUP_SIZE
    last: dict[str, int] = {}
    for row in read_table(folder / "probes.parquet", PROBES).to_pylist():
        assert row["boundary_index"] == (0 if row["position"] == 0 else row["boundary_index"])
        last[row["rollout_id"]] = row["position"]
    assert {row["rollout_id"]: row["num_thinking_tokens"] for row in rollouts} == last


def test_every_sample_answers_at_every_budget(folder: Path) -> None:
    thoughts = read_table(folder / "thoughts.parquet", THOUGHTS).to_pylist()
    assert len(thoughts) == NUM_PROBLEMS * NUM_SAMPLES
    lengths = {}
    for row in thoughts:
        lengths[row["problem_id"], row["sample_index"]] = len(row["thinking_tokens"])
    answers = read_table(folder / "answers.parquet", ANSWERS).to_pylist()
    assert len(answers) == len(thoughts) * len(BUDGETS)
    for row in answers:
        length = lengths[row["problem_id"], row["sample_index"]]
        assert row["used_tokens"] == min(row["budget_tokens"], length)


def test_renamed_rows_are_those_of_later_problems() -> None:
    data = pa.table(
        {
            "rollout_id": ["i1/t00000009/0", "i1/t00000010/199"],
            "problem_id": ["t00000009", "t00000010"],
            "sample_index": [0, 199],
            "seed": pa.array([9, 10], ROLLOUTS.schema.field("seed").type),
        }
    )
    later = renamed(data, 90)
    assert later.schema == data.schema
    assert later.to_pydict() == {
        "rollout_id": ["i1/t00000099/0", "i1/t00000100/199"],
        "problem_id": ["t00000099", "t00000100"],
        "sample_index": [0, 199],
        "seed": [
            derive_seed("rollout", SEED, "t00000099", 0),
            derive_seed("rollout", SEED, "t00000100", 199),
        ],
    }
