"""Problems are what their task draws, and stand in one split."""

import pyarrow as pa
import pytest

from fixtures.checkouts import PROFILES
from fixtures.rows import row
from stages.contracts.params.task import TaskParams
from stages.contracts.params.whole import load
from stages.contracts.tables.problems import PROBLEMS
from stages.tasks.rows import problem_row
from stages.tasks.sources import load_source
from stages.validate.problem_checks import drawn_problems, problems_frame


def test_a_prompt_in_two_splits_is_counted() -> None:
    rows = [
        row(PROBLEMS, problem_id=name, split=split)
        for name, split in (("p", "train"), ("q", "heldout"))
    ]
    rows.append(row(PROBLEMS, problem_id="r", prompt="another"))
    frame = problems_frame(pa.Table.from_pylist(rows, PROBLEMS.schema), None)
    assert frame["num_prompt_splits"].tolist() == [2, 2, 1]
    assert frame["is_as_drawn"].all()


@pytest.mark.parametrize("profile", ["tiny", "modular", "reasoning_gym"])
@pytest.mark.parametrize("column", ["metadata", "answer", "prompt", "difficulty", "split", "seed"])
def test_a_value_of_another_problem_is_seen_in_every_task(profile: str, column: str) -> None:
    task: TaskParams = load(PROFILES / f"{profile}.yaml").task
    drawn = drawn_problems(task)
    rows = [problem_row(task.name, problem) for problem in load_source(task).problems()]
    assert problems_frame(pa.Table.from_pylist(rows, PROBLEMS.schema), drawn)["is_as_drawn"].all()
    one = rows[0]
    other = next(made for made in rows if made[column] != one[column])
    one[column], other[column] = other[column], one[column]
    frame = problems_frame(pa.Table.from_pylist(rows, PROBLEMS.schema), drawn)
    is_moved = frame["problem_id"].isin([one["problem_id"], other["problem_id"]])
    assert (frame["is_as_drawn"] == ~is_moved).all()


def test_an_unknown_problem_is_none_of_those_drawn() -> None:
    task: TaskParams = load(PROFILES / "tiny.yaml").task
    table = pa.Table.from_pylist([row(PROBLEMS)], PROBLEMS.schema)
    assert not problems_frame(table, drawn_problems(task))["is_as_drawn"].any()
