"""Success at every temperature of an exam, and which of them is the policy's own."""

from collections.abc import Sequence

import pandas as pd

from stages.evaluate.exam_sums import Sums
from stages.evaluate.intervals import Intervals, Json
from stages.pure.exam import best_temperature

ByBudget = dict[str, Json]


def choose(answers: pd.DataFrame, temperatures: Sequence[float], budget_tokens: int) -> float:
    """The temperature of the highest success on reserved problems at one budget.

    `answers` are those of `Sums`; without reserved problems it is the first.
    """
    is_choosing = (answers["split"] == "reserved") & (answers["budget_tokens"] == budget_tokens)
    reserved = answers[is_choosing]
    return best_temperature(
        reserved["reward"].to_numpy(float),
        reserved["problem_id"].to_numpy(str),
        reserved["temperature"].to_numpy(),
        temperatures,
    )


def heldout_curves(answers: pd.DataFrame) -> pd.DataFrame:
    """Mean reward of each held-out problem, a row a problem and a column a budget."""
    heldout = answers[answers["split"] == "heldout"]
    return heldout.set_index(["problem_id", "budget_tokens"])["reward"].unstack()


def success_by_temperature(
    sums: Sums, temperatures: Sequence[float], intervals: Intervals
) -> dict[str, ByBudget]:
    """Held-out success by temperature and budget."""
    success = {}
    for temperature in temperatures:
        curves = heldout_curves(sums.at_temperature(temperature).answers)
        success[str(temperature)] = {
            f"budget_{budget}": intervals.mean(curves[budget].to_numpy()) for budget in curves
        }
    return success
