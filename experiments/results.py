"""Compare the arms of an experiment: at its end, at equal cost, and by the cost of getting as far.

Reads   every finished chain of `experiments.run`: grades and metrics of its exams, metrics and run facts of its rounds.
Writes  one JSON object, and figures drawn from it. The profile's first arm is the baseline. Null is what does not
        exist: a level never reached, a share of nothing.
Method  The difference of two arms is the mean over problems of their difference, with intervals over runs and problems
        (`stages.pure.estimates.bootstrap_seeds`); an arm alone is compared with a policy that never succeeds. A run is
        one chain. Chains that share an init count as independent runs, and arms are not paired by init. `matched`
        compares arms at the largest cost that every run of both reached, between exams linearly. `reach` is the cost
        at which an arm's mean learning curve first reaches the baseline's final success, as a ratio to what the
        baseline took. Costs begin behind the init, which all arms share; see `experiments.gather` for what they count.

Example: python -m experiments.results --profile experiments/objectives.yaml --folder data/experiments/objectives \
         --json docs/results/objectives.json --figures docs/results
"""

import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from experiments import figures as drawing
from experiments.gather import Arm, Experiment, gather
from stages.contracts import params
from stages.contracts.errors import command
from stages.contracts.publish import atomic, write_json
from stages.pure.estimates import NORMAL, Estimate, bootstrap_seeds, student_quantile
from stages.pure.exam import normalized_regret

COSTS = ("rollout_tokens", "compute_tokens")  # by which arms are matched
BEYOND = (2, 4)  # times the training budget at which extrapolation is measured

Quantities = Mapping[str, Float[np.ndarray, "run problem"]]
Json = dict[str, Any]


class LearningCurve(NamedTuple):
    """Success at one budget along training."""

    success: Float[np.ndarray, "run exam problem"]
    spent: Float[np.ndarray, "run exam"]


class Reach(NamedTuple):
    """Cost to get as far as the baseline does in the end."""

    level: float
    """The baseline's final success."""
    ratio: Estimate
    """Cost of the arm per cost of the baseline; infinite where the arm never gets there."""
    never_frac: float
    """Share of resamples in which the arm never gets there."""
    undefined_frac: float
    """Share of resamples without a ratio: the baseline ended no higher than it began."""

    @property
    def inverse(self) -> Estimate:
        """How many times as far the arm's cost goes, as MRT states it (arXiv 2503.07572); 0 where it never arrives."""
        with np.errstate(divide="ignore"):
            mean, low, high = (1 / np.float64(value) for value in self.ratio)
        return Estimate(float(mean), float(high), float(low))


def main(profile: Path, folder: Path, json: Path, figures: Path, params_file: Path = Path("params.yaml")) -> None:
    """Compare the arms on the runs that are finished."""
    experiment = gather(profile, folder, params_file)
    if experiment.missing:
        print(f"{len(experiment.missing)} chain(s) missing: {', '.join(experiment.missing)}", file=sys.stderr)
    num_runs = len(next(iter(experiment.chain_names.values())))
    print(f"comparing {len(experiment.arms)} arms on {num_runs} run(s) each", file=sys.stderr)
    arguments = ["--profile", profile, "--folder", folder, "--json", json, "--figures", figures]
    if params_file != Path("params.yaml"):
        arguments += ["--params-file", params_file]
    found = {"command": shlex.join(["python", "-m", "experiments.results", *map(str, arguments)]), **compare(experiment)}
    write_json(json, found)
    for name, svg in drawing.draw(found).items():
        with atomic(figures / f"{profile.stem}-{name}.svg") as beside:
            beside.write_text(svg, encoding="utf-8")


def compare(experiment: Experiment) -> Json:
    """Everything that is told of an experiment."""
    settings = experiment.settings
    baseline, *others = experiment.arms
    masks = levels(experiment)
    return {
        "commit": experiment.commit,
        "baseline": baseline,
        "chains": experiment.chain_names,
        "missing": experiment.missing,
        "num_runs": len(experiment.chain_names[baseline]),
        "num_problems": {level: int(mask.sum()) for level, mask in masks.items()},
        "num_unverified_problems": experiment.num_unverified,
        "exam_rounds": experiment.exam_rounds.tolist(),
        "budgets_tokens": settings.exam.budgets_tokens,
        "training_budget_tokens": settings.report.training_budget_tokens,
        "trained_difficulties": experiment.trained_difficulties,
        "confidence": settings.evaluate.confidence,
        "num_resamples": settings.evaluate.num_resamples,
        "arms": {name: describe(arm, experiment, masks) for name, arm in experiment.arms.items()},
        "differences": {
            f"{name}_minus_{baseline}": contrast(experiment.arms[baseline], experiment.arms[name], experiment, masks)
            for name in others
        },
    }


def levels(experiment: Experiment) -> dict[str, Bool[np.ndarray, " problem"]]:
    """The problems of each level: all, and each difficulty."""
    difficulty = experiment.difficulty
    found = {"all": np.ones(len(difficulty), dtype=bool)}
    return found | {f"difficulty_{n}": difficulty == n for n in np.unique(difficulty).tolist()}


def describe(arm: Arm, experiment: Experiment, masks: Mapping[str, np.ndarray]) -> Json:
    """What one arm cost, learnt and drifted to."""
    settings = experiment.settings
    final = quantities(arm.success[:, -1], settings)
    return {
        "costs": {
            name: {"by_round": _rounded(found), "cumulative": _rounded(np.cumsum(found, axis=1))}
            for name, found in arm.costs.items()
        },
        "final": {level: estimates(final, mask, settings.evaluate) for level, mask in masks.items()},
        "learning": {level: learning(arm, experiment, mask) for level, mask in masks.items()},
        "rounds": {name: means(found) for name, found in arm.rounds.items()},
        "exams": {name: means(found) for name, found in arm.exams.items()},
    }


def contrast(baseline: Arm, arm: Arm, experiment: Experiment, masks: Mapping[str, np.ndarray]) -> Json:
    """An arm minus the baseline: at the end, at equal cost, and its cost to get as far."""
    settings, trained = experiment.settings, budget_index(experiment.settings)
    before, after = (quantities(part.success[:, -1], settings) for part in (baseline, arm))
    found: Json = {
        "final": {level: estimates(after, mask, settings.evaluate, before) for level, mask in masks.items()},
        "matched": {},
        "reach": {},
    }
    for cost in COSTS:
        spent = [part.spent(cost, experiment.exam_rounds) for part in (baseline, arm)]
        at = min(float(part[:, -1].min()) for part in spent)
        before, after = (
            quantities(at_cost(part.success, own, at), settings)
            for part, own in zip((baseline, arm), spent, strict=True)
        )
        found["matched"][cost] = {
            "cost": at,
            **{level: estimates(after, mask, settings.evaluate, before) for level, mask in masks.items()},
        }
        found["reach"][cost] = {}
        for level, mask in masks.items():
            curves = (
                LearningCurve(part.success[..., mask, trained], own)
                for part, own in zip((baseline, arm), spent, strict=True)
            )
            found["reach"][cost][level] = told(reach(*curves, settings.evaluate))
    return found


def quantities(success: Float[np.ndarray, "run problem budget"], settings: params.Params) -> Quantities:
    """What is measured of each problem: success at each budget, regret, and what budgets beyond the trained one add."""
    budgets = settings.exam.budgets_tokens
    trained = budget_index(settings)
    beyond = [times * budgets[trained] for times in BEYOND if times * budgets[trained] in budgets]
    return {
        **{f"budget_{budget}": success[..., place] for place, budget in enumerate(budgets)},
        "normalized_regret": normalized_regret(success, np.array(budgets), np.ones(len(budgets))),
        **{f"gain_at_{budget}": success[..., budgets.index(budget)] - success[..., trained] for budget in beyond},
    }


def budget_index(settings: params.Params) -> int:
    """Where the training budget stands among the exam's."""
    return settings.exam.budgets_tokens.index(settings.report.training_budget_tokens)


def estimates(
    later: Quantities, mask: np.ndarray, settings: params.Evaluate, earlier: Quantities | None = None
) -> dict[str, dict[str, float | None]]:
    """Mean of each quantity, minus that of `earlier` where given, with intervals over runs and problems."""
    asked = settings.num_resamples, settings.confidence, settings.seed
    nothing = np.zeros((1, int(mask.sum())))
    return {
        name: bootstrap_seeds(nothing if earlier is None else earlier[name][:, mask], found[:, mask], *asked).rounded()
        for name, found in later.items()
    }


def learning(arm: Arm, experiment: Experiment, mask: np.ndarray) -> list[Json]:
    """Success at the training budget by exam, and the mean cost of getting there."""
    settings, spent = experiment.settings, {cost: arm.spent(cost, experiment.exam_rounds) for cost in COSTS}
    trained = budget_index(settings)
    return [
        {
            "num_rounds": int(num_rounds),
            **{cost: round(float(own[:, place].mean()), 4) for cost, own in spent.items()},
            **estimates({"success": arm.success[:, place, :, trained]}, mask, settings.evaluate),
        }
        for place, num_rounds in enumerate(experiment.exam_rounds)
    ]


def means(found: Float[np.ndarray, "run place"]) -> list[float | None]:
    """Mean over the runs that have a value, at each place; None where none has."""
    return [None if np.isnan(part).all() else round(float(np.nanmean(part)), 4) for part in found.T]


def at_cost(
    success: Float[np.ndarray, "run exam problem budget"], spent: Float[np.ndarray, "run exam"], cost: float
) -> Float[np.ndarray, "run problem budget"]:
    """Success of each run when it had spent `cost`: linear between the exams before and after.

    Runs spend differently, so the weights of the exams are a run's own. Before the first exam it is the first one's,
    behind the last the last one's.
    """
    hats = np.eye(success.shape[1])
    weights = np.array([[np.interp(cost, own, hat) for hat in hats] for own in spent])
    return np.einsum("re,re...->r...", weights, success)


def cost_to_reach(
    success: Float[np.ndarray, "draw exam"], spent: Float[np.ndarray, "draw exam"], level: Float[np.ndarray, " draw"]
) -> Float[np.ndarray, " draw"]:
    """Least cost at which success reaches `level`, linear between exams; infinite where it never does.

    As `stages.pure.exam.tokens_to_reach`, where each draw has costs and a level of its own.
    """
    is_reached = success >= level[:, None]
    end = is_reached.argmax(axis=1)
    start = np.maximum(end - 1, 0)
    rows = np.arange(len(success))
    low, high = success[rows, start], success[rows, end]
    share = np.divide(level - low, high - low, out=np.zeros(len(rows)), where=high > low)
    cost = spent[rows, start] + share * (spent[rows, end] - spent[rows, start])
    return np.where(is_reached.any(axis=1), cost, np.inf)


def reach(baseline: LearningCurve, arm: LearningCurve, settings: params.Evaluate) -> Reach:
    """Cost at which the arm's mean curve first reaches the baseline's final success, per cost of the baseline.

    Both levels are resampled: runs of each arm by themselves, and problems, once for all runs and exams, which all
    asked the same ones. The baseline's final success, and the cost at which its own curve first reaches that, are taken
    anew in every resample. NaN ratios, where the baseline takes no cost to end where it began, are counted and left
    out.
    """
    num_runs, _, num_problems = baseline.success.shape
    counts = [
        np.random.default_rng([settings.seed, place]).multinomial(size, np.full(size, 1 / size), settings.num_resamples)
        for place, size in enumerate((num_runs, len(arm.success), num_problems))
    ]
    level, ratio, is_never = _ratios(baseline, arm, *(np.ones((1, part.shape[1])) for part in counts))
    _, ratios, never = _ratios(baseline, arm, *counts)
    least_runs = min(num_runs, len(arm.success))
    estimate = widened(float(ratio[0]), ratios[~np.isnan(ratios)], least_runs, settings.confidence)
    return Reach(float(level[0]), estimate, float(never.mean()), float(np.isnan(ratios).mean()))


def _ratios(
    baseline: LearningCurve,
    arm: LearningCurve,
    baseline_counts: Int[np.ndarray, "draw run"],
    arm_counts: Int[np.ndarray, "draw another_run"],
    problem_counts: Int[np.ndarray, "draw problem"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level, cost ratio, and whether the arm never gets there, when each row counts so many times."""
    problems = problem_counts / problem_counts.sum(axis=1, keepdims=True)
    curves = []
    for curve, counts in ((baseline, baseline_counts), (arm, arm_counts)):
        runs = counts / counts.sum(axis=1, keepdims=True)
        by_exam = [((runs @ curve.success[:, place]) * problems).sum(axis=1) for place in range(curve.spent.shape[1])]
        curves.append((np.stack(by_exam, axis=1), runs @ curve.spent))
    level = curves[0][0][:, -1]
    before, after = (cost_to_reach(*curve, level) for curve in curves)
    ratio = np.divide(after, before, out=np.full(len(level), np.nan), where=before > 0)
    return level, ratio, np.isinf(after)


def widened(estimate: float, resampled: Float[np.ndarray, " draw"], num_runs: int, confidence: float) -> Estimate:
    """Percentile interval at levels widened for few runs: Φ(∓ t sqrt(n / (n − 1))), t Student's with n − 1 degrees.

    Hesterberg, arXiv 1411.5279 (expanded percentile interval). As if all spread came from runs, so it covers more
    where some comes from problems. With one run only problems vary, and the levels are the plain ones. Infinite
    resamples are the largest; without any resample the ends are unknown.
    """
    if not len(resampled):
        return Estimate(estimate, math.nan, math.nan)
    probability = (1 + confidence) / 2
    tail = NORMAL.inv_cdf(probability)
    if num_runs > 1:
        tail = student_quantile(probability, num_runs - 1) * math.sqrt(num_runs / (num_runs - 1))
    ordered, last = np.sort(resampled), len(resampled) - 1
    low, high = math.floor(NORMAL.cdf(-tail) * last), math.ceil(NORMAL.cdf(tail) * last)
    return Estimate(estimate, float(ordered[low]), float(ordered[high]))


def told(found: Reach) -> Json:
    """As JSON."""
    return {
        "level": round(found.level, 4),
        "ratio": found.ratio.rounded(),
        "inverse": found.inverse.rounded(),
        "never_frac": round(found.never_frac, 4),
        "undefined_frac": round(found.undefined_frac, 4),
    }


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in values.tolist()]


if __name__ == "__main__":
    command(main)
