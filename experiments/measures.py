"""What is measured of an arm's exams, and its mean over runs and problems with an interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import stdtr

from experiments.drift import rates
from experiments.exams import Curves, Level
from experiments.gather import Arm
from experiments.reach import Reach
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.whole import Params
from stages.pure.course.diagnosis import FALLING, fall_p, is_found
from stages.pure.estimates import bootstrap_seeds
from stages.pure.exam import normalized_regret

BEYOND = (2, 4)  # times the training budget at which extrapolation is measured

Quantities = Mapping[str, Float[np.ndarray, "run problem"]]
Json = dict[str, Any]


def quantities(success: Float[np.ndarray, "run problem budget"], settings: Params) -> Quantities:
    """What is measured of each problem.

    Success by budget, regret, what thinking adds to answering at once, what longer budgets add.
    """
    budgets = settings.exam.budgets_tokens
    trained = budget_index(settings)
    beyond = [times * budgets[trained] for times in BEYOND if times * budgets[trained] in budgets]
    measured = {f"budget_{budget}": success[..., place] for place, budget in enumerate(budgets)}
    measured["normalized_regret"] = normalized_regret(
        success, np.array(budgets), np.ones(len(budgets))
    )
    if budgets[0] == 0:
        measured["thinking_adds"] = success[..., trained] - success[..., 0]
    for budget in beyond:
        gained = success[..., budgets.index(budget)] - success[..., trained]
        measured[f"gain_at_{budget}"] = gained
    return measured


def budget_index(settings: Params) -> int:
    """Where the training budget stands among the exam's."""
    return settings.exam.budgets_tokens.index(settings.report.training_budget_tokens)


def drifted(arm: Arm, level: Level, curves: Curves) -> Quantities:
    """Rates of the last exam, and the entropy of the last round, which is of no problem."""
    own = rates(arm.counts, int(curves.chosen[-1]), level.heldout)
    return {**own, "last_entropy_nats": arm.rounds["last_entropy_nats"][:, -1:]}


def num_fallen(success: Float[np.ndarray, "run exam problem"]) -> int:
    """Runs whose last exam is below their best one before beyond noise, paired by problem."""
    fallen = 0
    for exams in success:
        *earlier, last = exams
        if earlier:
            gaps = max(earlier, key=np.mean) - last
            noise = float(gaps.std(ddof=1) / np.sqrt(len(gaps))) if len(gaps) > 1 else np.inf
            p = fall_p(float(gaps.mean()), noise, len(earlier))
            fallen += is_found(FALLING, {FALLING.number: p})
    return fallen


def estimates(
    later: Quantities, settings: Evaluate, earlier: Quantities | None = None
) -> dict[str, dict[str, float | None]]:
    """Mean of each quantity, less that of `earlier` run by run where given.

    Intervals are over runs and problems.
    """
    resampling = settings.num_resamples, settings.confidence, settings.seed
    intervals = {}
    for name, values in later.items():
        gained = values - (earlier[name] if earlier else 0)
        nothing = np.zeros((1, gained.shape[1]))
        intervals[name] = bootstrap_seeds(nothing, gained, *resampling).rounded()
    return intervals


def by_init(
    difference: Float[np.ndarray, "run problem"], init_seeds: Sequence[int]
) -> dict[str, float | int | None]:
    """A mean difference with the init as the unit: runs that share one are no independent draws.

    Student's t of the means of the inits, and its two-sided p; null with fewer than two inits, or
    where all means are equal.
    """
    runs = difference.mean(axis=1)
    means = np.array([runs[np.array(init_seeds) == seed].mean() for seed in sorted({*init_seeds})])
    summary: dict[str, float | int | None] = {
        "mean": round(float(means.mean()), 4),
        "num_inits": len(means),
        "t": None,
        "p": None,
    }
    error = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else 0.0
    if error > 0:
        t = float(means.mean() / error)
        summary["t"] = round(t, 2)
        summary["p"] = round(float(2 * stdtr(len(means) - 1, -abs(t))), 4)
    return summary


def by_run(arm: Arm, level: Level) -> list[list[list[list[float]]]]:
    """Success of each run, exam, temperature and budget."""
    means: list[list[list[list[float]]]] = (
        arm.success[:, :, :, level.heldout].mean(axis=3).round(4).tolist()
    )
    return means


def means(values: Float[np.ndarray, "run place"]) -> list[float | None]:
    """Mean over the runs that have a value, at each place; None where none has."""
    by_place: list[float | None] = []
    for of_place in values.T:
        is_empty = np.isnan(of_place).all()
        by_place.append(None if is_empty else round(float(np.nanmean(of_place)), 4))
    return by_place


def reach_json(reached: Reach) -> Json:
    """A reach by the names of its fields, rounded."""
    return {
        "level": round(reached.level, 4),
        "ratio": reached.ratio.rounded(),
        "inverse": reached.inverse.rounded(),
        "never_frac": round(reached.never_frac, 4),
        "undefined_frac": round(reached.undefined_frac, 4),
    }
