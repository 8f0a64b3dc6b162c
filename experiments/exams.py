"""An experiment's exams as arrays, at every temperature and at an arm's best one."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from stages.contracts.params.whole import Params
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.grades import GRADES
from stages.pure.exam import best_temperature
from stages.running.errors import BadInput

COLUMNS = (
    *("problem_id", "split", "difficulty", "temperature", "sample_index", "budget_tokens"),
    "reward",
)

Success = Float[np.ndarray, "run exam temperature problem budget"]


class Problems(NamedTuple):
    """The problems that every exam asked, those left out that some verifier failed on."""

    difficulty: Int[np.ndarray, " problem"]
    is_heldout: Bool[np.ndarray, " problem"]
    """Whether it is examined; the others are reserved, and choose temperatures."""
    index: pd.Index
    num_unverified: int


class Level(NamedTuple):
    """What belongs to one level."""

    heldout: Bool[np.ndarray, " problem"]
    reserved: Bool[np.ndarray, " problem"]


class Curves(NamedTuple):
    """An arm's held-out problems of one level, each exam at the arm's best temperature of it."""

    success: Float[np.ndarray, "run exam problem budget"]
    chosen: Int[np.ndarray, " exam"]
    """Where the temperatures stand among the exam's."""


def read_success(clone: Path, settings: Params) -> list[pd.DataFrame]:
    """Success of each exam: a row a problem, a column a (temperature, budget).

    Rows are (split, difficulty, problem_id) of held-out and of reserved problems.
    """
    exams = []
    for policy in settings.exams:
        path = clone / "data/exams" / policy / "grades.parquet"
        graded = read_table(path, GRADES, COLUMNS).to_pandas()
        asked = graded[graded["split"] != "train"].astype({"reward": float})
        place = ["split", "difficulty", "problem_id", "temperature", "budget_tokens"]
        by_place = asked.groupby(place)["reward"].mean()
        exams.append(by_place.unstack(["temperature", "budget_tokens"]).sort_index(axis=1))
    return exams


def align(
    exams: Mapping[str, Sequence[pd.DataFrame]], temperatures: Sequence[float]
) -> tuple[dict[str, Float[np.ndarray, "exam temperature problem budget"]], Problems]:
    """Each chain's exams as one array, temperatures in the order given.

    Raises:
        BadInput: two exams asked different problems, temperatures or budgets, or no held-out
            problem was verified in all of them.
    """
    first = next(iter(exams.values()))[0]
    arrays = {}
    for name, of_chain in exams.items():
        if not all(map(partial(_is_alike, first), of_chain)):
            raise BadInput(
                f"{name}: its exams asked other problems, temperatures or budgets "
                f"than {next(iter(exams))}'s first"
            )
        arrays[name] = np.stack([_cube(exam, temperatures) for exam in of_chain])
    is_known = ~np.any([np.isnan(array).any(axis=(0, 1, 3)) for array in arrays.values()], axis=0)
    splits = first.index.get_level_values("split")
    if not (is_known & (splits == "heldout")).any():
        raise BadInput(
            f"{len(first)} problems: none was verified in every exam; see column verdict of grades"
        )
    index = first.index[is_known]
    problems = Problems(
        difficulty=index.get_level_values("difficulty").to_numpy(),
        is_heldout=np.asarray(index.get_level_values("split") == "heldout"),
        index=index,
        num_unverified=int((~is_known).sum()),
    )
    return {name: array[:, :, is_known] for name, array in arrays.items()}, problems


def levels(problems: Problems) -> dict[str, Level]:
    """The problems of each level: all, and each difficulty that is examined."""
    by_name = {"all": np.ones(len(problems.difficulty), dtype=bool)}
    for number in np.unique(problems.difficulty[problems.is_heldout]).tolist():
        by_name[f"difficulty_{number}"] = problems.difficulty == number
    return {
        name: Level(mask & problems.is_heldout, mask & ~problems.is_heldout)
        for name, mask in by_name.items()
    }


def best_curves(
    success: Success, level: Level, trained: int, temperatures: Sequence[float]
) -> Curves:
    """An arm at the temperature that is best for it, exam by exam.

    It is `best_temperature` of the answers to the level's reserved problems, of all runs of the
    arm, at budget number `trained`.
    """
    reserved = success[..., trained][..., level.reserved]
    runs, num_exams, _, size = reserved.shape
    problems = np.tile(np.arange(size), runs * len(temperatures))
    sampled_at = np.tile(np.repeat(np.array(temperatures, np.float32), size), runs)
    chosen = []
    for exam in range(num_exams):
        rewards = reserved[:, exam].ravel()
        best = best_temperature(rewards, problems, sampled_at, temperatures)
        chosen.append(temperatures.index(best))
    heldout = success[:, :, :, level.heldout]
    return Curves(heldout[:, np.arange(num_exams), chosen], np.array(chosen))


def _cube(
    exam: pd.DataFrame, temperatures: Sequence[float]
) -> Float[np.ndarray, "temperature problem budget"]:
    """One exam's table as an array; tables hold temperatures in single precision."""
    return np.stack([exam[float(np.float32(one))].to_numpy(float) for one in temperatures])


def _is_alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two exams asked the same problems at the same temperatures and budgets."""
    return one.index.equals(other.index) and one.columns.equals(other.columns)
