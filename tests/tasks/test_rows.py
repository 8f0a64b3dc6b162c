"""Problems become rows and come back."""

import json
from pathlib import Path

from fixtures.rows import row
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.problems import PROBLEMS
from stages.tasks.rows import problem_row, read_problems
from stages.tasks.task import Problem

PROBLEM = Problem("q", "heldout", 4, "<bos> 1 :", "1", {"b": [2, 3], "a": "ü"}, 7)


def test_a_problem_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [problem_row("countdown", PROBLEM), row(PROBLEMS, problem_id="p")]
    write_table(tmp_path / "problems.parquet", PROBLEMS, rows)
    assert [problem.problem_id for problem in read_problems(tmp_path / "problems.parquet")] == [
        *("p", "q"),
    ]
    assert read_problems(tmp_path / "problems.parquet", split="heldout") == [PROBLEM]


def test_metadata_is_the_same_text_whatever_its_order() -> None:
    other = Problem("q", "heldout", 4, "<bos> 1 :", "1", {"a": "ü", "b": [2, 3]}, 7)
    assert problem_row("countdown", PROBLEM) == problem_row("countdown", other)
    assert json.loads(problem_row("countdown", PROBLEM)["metadata"]) == PROBLEM.metadata
