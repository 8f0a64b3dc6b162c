"""The check frame of problems: each held against what the task's source draws."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from stages.contracts.params.task import TaskParams, UserTask
from stages.tasks.rows import problem_row
from stages.tasks.sources import load_source
from stages.tasks.task import Problem
from stages.validate.frames import scalars


def drawn_problems(task: TaskParams) -> pd.DataFrame | None:
    """The problems as params.yaml names them, drawn once more, by problem_id.

    None for a class of the user's, whose code runs where problems are drawn and nowhere else.

    Raises:
        BadInput: the task's file is not the one that params.yaml names.
    """
    if isinstance(task, UserTask):
        return None
    source = load_source(task, _accept)
    rows = [problem_row(task.name, problem) for problem in source.problems()]
    return pd.DataFrame.from_records(rows, index="problem_id")


def problems_frame(problems: pa.Table, drawn: pd.DataFrame | None) -> pd.DataFrame:
    """One row per problem: in how many splits its prompt stands, how many have its metadata.

    And whether all of it is as `drawn`; that says nothing where nothing was drawn.
    """
    frame = scalars(problems)
    frame["num_prompt_splits"] = frame.groupby("prompt")["split"].transform("nunique")
    frame["num_metadata_problems"] = frame.groupby("metadata")["problem_id"].transform("size")
    is_as_drawn = np.ones(len(frame), dtype=bool)
    if drawn is not None:
        due = drawn.reindex(frame["problem_id"])
        for name in drawn.columns:
            is_as_drawn &= frame[name].to_numpy() == due[name].to_numpy()
    frame["is_as_drawn"] = is_as_drawn
    return frame


def _accept(problems: Sequence[Problem]) -> list[str]:
    """Reference answers were judged where the problems were first drawn."""
    return ["correct"] * len(problems)
