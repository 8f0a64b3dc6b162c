"""Problems to table rows and back."""

import json
from pathlib import Path
from typing import Any

from stages.contracts.storage.reading import read_table
from stages.contracts.tables.problems import PROBLEMS
from stages.tasks.task import Problem


def problem_row(task: str, problem: Problem) -> dict[str, Any]:
    """A row of `problems`."""
    return {
        "problem_id": problem.problem_id,
        "task": task,
        "split": problem.split,
        "difficulty": problem.difficulty,
        "prompt": problem.prompt,
        "answer": problem.answer,
        "metadata": json.dumps(problem.metadata, sort_keys=True),
        "seed": problem.seed,
    }


def read_problems(path: Path, split: str | None = None) -> list[Problem]:
    """Problems of the table at `path`, sorted by id; of one split, or of both."""
    rows = read_table(path, PROBLEMS).drop_columns(["task"]).to_pylist()
    return [
        Problem(**{**row, "metadata": json.loads(row["metadata"])})
        for row in rows
        if split is None or row["split"] == split
    ]
