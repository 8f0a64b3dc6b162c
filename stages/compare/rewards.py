"""What exams say, as it is compared: rewards at each temperature, and which answers a level has."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from stages.contracts.storage.reading import read_table
from stages.contracts.tables.grades import GRADES
from stages.pure.exam import best_temperature, failure_bands
from stages.running.errors import BadInput

ALL = "all"
BANDS = ("failure_low", "failure_middle", "failure_high")
COLUMNS = [
    *("problem_id", "split", "difficulty", "temperature", "sample_index", "budget_tokens"),
    "reward",
]


class ExamRewards(NamedTuple):
    """What one policy's exam says.

    `at` has the rewards of held-out answers by temperature, a row a (problem, sample) and a column
    a budget; `difficulties` has their problems; `reserved` the rewards of reserved problems at the
    training budget, a row an answer.
    """

    at: dict[float, pd.DataFrame]
    difficulties: pd.Series
    reserved: pd.DataFrame

    @property
    def axes(self) -> list[pd.Index]:
        """The (problem, sample)s asked, and the budgets: the same at every temperature."""
        return next(iter(self.at.values())).axes

    def is_like(self, other: "ExamRewards") -> bool:
        """Whether both exams asked the same, so that their answers are pairs."""
        return all(
            all(map(pd.Index.equals, self.axes, rewards.axes)) for rewards in other.at.values()
        )

    def best_temperature(self, level: str) -> float:
        """The policy's own at a level; thirds by failure have that of all problems."""
        rows = self.reserved
        if level not in (ALL, *BANDS):
            rows = rows[rows["difficulty"] == int(level.removeprefix("difficulty_"))]
        return best_temperature(
            rows["reward"].to_numpy(float),
            rows["problem_id"].to_numpy(str),
            rows["temperature"].to_numpy(),
            [*self.at],
        )

    def curve(self, temperature: float, mask: pd.Series) -> pd.DataFrame:
        """Mean reward of each problem, of the samples that count: a column a budget."""
        return self.at[temperature][mask].groupby("problem_id").mean()


def read_rewards(
    exams_dir: Path, policy: str, temperatures: Sequence[float], budget_tokens: int
) -> ExamRewards:
    """The rewards of a policy's exam; `budget_tokens` is the one trained at.

    Raises:
        BadInput: no held-out answer was sampled at one of `temperatures`.
    """
    graded = read_table(exams_dir / policy / "grades.parquet", GRADES, COLUMNS).to_pandas()
    heldout = graded[graded["split"] == "heldout"].astype({"reward": float})
    is_choosing = (graded["split"] == "reserved") & (graded["budget_tokens"] == budget_tokens)
    place = ["problem_id", "sample_index", "budget_tokens"]
    at = {}
    for temperature in temperatures:
        # Tables hold a temperature in single precision.
        rows = heldout[heldout["temperature"] == np.float32(temperature)]
        if rows.empty:
            raise BadInput(
                f"exam {policy}: grades have no held-out answers at temperature {temperature}; run "
                f"`dvc repro examine@{policy}`"
            )
        at[temperature] = rows.set_index(place)["reward"].unstack()
    difficulties = heldout.groupby("problem_id")["difficulty"].first()
    return ExamRewards(at, difficulties, graded[is_choosing])


def levels(exams: Mapping[str, ExamRewards], inits: Collection[str]) -> dict[str, pd.Series]:
    """Which samples count at each level.

    Levels are all, each structural difficulty, and thirds of the problems by failure.

    Failure is that of the first examined init at its best temperature, over all budgets, never of a
    policy that has learnt since. A sample is put in a band by the problem's other samples: banded
    by itself, the init would seem to fail on what it happened to fail on, and whoever is compared
    with it to have gained there. So one sample a problem gives no bands.
    """
    one = next(iter(exams.values()))
    index = one.axes[0]
    difficulty = one.difficulties.loc[index.get_level_values("problem_id")]
    masks_by_level = {ALL: pd.Series(True, index)}
    masks_by_level |= {
        f"difficulty_{n}": pd.Series((difficulty == n).to_numpy(), index)
        for n in sorted({*difficulty})
    }
    init = next((exam for policy, exam in exams.items() if policy in inits), None)
    if init is None or index.get_level_values("sample_index").nunique() == 1:
        return masks_by_level
    rewards = init.at[init.best_temperature(ALL)]
    bands = pd.concat(
        [_bands_of_others(rewards, sample) for sample in index.unique("sample_index")]
    )
    masks = {name: (bands == number).loc[index] for number, name in enumerate(BANDS)}
    return masks_by_level | {name: mask for name, mask in masks.items() if mask.any()}


def _bands_of_others(rewards: pd.DataFrame, sample: int) -> pd.Series:
    """Bands of one sample of each problem, by the failure of all others."""
    is_other = rewards.index.get_level_values("sample_index") != sample
    failure = 1 - rewards[is_other].stack(future_stack=True).groupby("problem_id").mean()
    sample_rows = rewards[~is_other].index
    bands = failure_bands(
        failure.reindex(sample_rows.get_level_values("problem_id")).to_numpy(), len(BANDS)
    )
    return pd.Series(bands, sample_rows)


def budget_name(budget: int) -> str:
    """What results call a budget."""
    return f"budget_{budget}"
