"""Compare the arms of an experiment: at its end, at equal cost, and by the cost of getting as far.

Reads   every finished chain of `experiments.run`: grades and metrics of its exams, metrics and run
        facts of its rounds.
Writes  one JSON object; figures drawn from it, and a page of its numbers beside them. The profile's
        first arm is the baseline. Null is what does not exist: a level never reached, a share of
        nothing.
Method  Run i of every arm has the same init and the same seeds, so arms are compared in pairs: the
        difference of two arms is the mean over problems of their difference within a run, with
        intervals over runs and problems (`stages.pure.estimates.bootstrap_seeds`). An arm alone is
        compared with a policy that never succeeds. Runs that share an init count as independent.
        `matched` compares arms at the largest cost that every run of both reached, between exams
        linearly. `reach` is the cost at which an arm's mean learning curve first reaches the
        baseline's final success, as a ratio to what the baseline took. Costs begin behind the init,
        which all arms share; see `experiments.gather` for what they count.

Example: python -m experiments.results --profile experiments/objectives.yaml \
         --folder data/experiments/objectives --json docs/results/objectives.json \
         --figures docs/results
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from experiments import figures as drawing
from experiments.drift import rates
from experiments.gather import Arm, Experiment, gather
from experiments.page import page
from experiments.reach import LearningCurve, Reach, at_cost, reach
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.whole import Params
from stages.pure.estimates import bootstrap_seeds
from stages.pure.exam import normalized_regret
from stages.running.errors import command
from stages.running.publish import atomic, write_json

COSTS = ("rollout_tokens", "compute_tokens")  # by which arms are matched
BEYOND = (2, 4)  # times the training budget at which extrapolation is measured

Quantities = Mapping[str, Float[np.ndarray, "run problem"]]
Json = dict[str, Any]


def main(
    profile: Path, folder: Path, json: Path, figures: Path, params_file: Path = Path("params.yaml")
) -> None:
    """Compare the arms on the runs that are finished."""
    experiment = gather(profile, folder, params_file)
    if experiment.missing:
        print(
            f"{len(experiment.missing)} chain(s) missing: {', '.join(experiment.missing)}",
            file=sys.stderr,
        )
    num_runs = len(next(iter(experiment.chain_names.values())))
    print(f"comparing {len(experiment.arms)} arms on {num_runs} run(s) each", file=sys.stderr)
    arguments = ["--profile", profile, "--folder", folder, "--json", json, "--figures", figures]
    if params_file != Path("params.yaml"):
        arguments += ["--params-file", params_file]
    results = {
        "command": shlex.join(["python", "-m", "experiments.results", *map(str, arguments)]),
        **compare(experiment),
    }
    write_json(json, results)
    for name, svg in drawing.draw(results).items():
        with atomic(figures / f"{profile.stem}-{name}.svg") as beside:
            beside.write_text(svg, encoding="utf-8")
    with atomic(figures / f"{profile.stem}.md") as beside:
        beside.write_text(page(results, profile.stem), encoding="utf-8")


def compare(experiment: Experiment) -> Json:
    """All that the page and the figures show of an experiment."""
    settings = experiment.settings
    baseline, *others = experiment.arms
    masks = levels(experiment)
    differences = {}
    for name in others:
        arms = experiment.arms[baseline], experiment.arms[name]
        differences[f"{name}_minus_{baseline}"] = contrast(*arms, experiment, masks)
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
        "differences": differences,
    }


def levels(experiment: Experiment) -> dict[str, Bool[np.ndarray, " problem"]]:
    """The problems of each level: all, and each difficulty."""
    difficulty = experiment.difficulty
    everything = {"all": np.ones(len(difficulty), dtype=bool)}
    return everything | {f"difficulty_{n}": difficulty == n for n in np.unique(difficulty).tolist()}


def describe(arm: Arm, experiment: Experiment, masks: Mapping[str, np.ndarray]) -> Json:
    """What one arm cost, learnt and drifted to."""
    settings = experiment.settings
    final = quantities(arm.success[:, -1], settings)
    costs = {}
    for name, by_run in arm.costs.items():
        cumulative = np.cumsum(by_run, axis=1)
        costs[name] = {"by_round": _rounded(by_run), "cumulative": _rounded(cumulative)}
    by_level: Json = {"final": {}, "final_by_run": {}, "learning": {}, "drift": {}}
    for level, mask in masks.items():
        by_level["final"][level] = estimates(final, mask, settings.evaluate)
        by_level["final_by_run"][level] = final_by_run(arm, settings, mask)
        by_level["learning"][level] = learning(arm, experiment, mask)
        by_level["drift"][level] = estimates(drifted(arm, mask), None, settings.evaluate)
    return {
        "costs": costs,
        **by_level,
        "rounds": {name: means(by_run) for name, by_run in arm.rounds.items()},
        "exams": {name: means(by_run) for name, by_run in arm.exams.items()},
    }


def contrast(
    baseline: Arm, arm: Arm, experiment: Experiment, masks: Mapping[str, np.ndarray]
) -> Json:
    """An arm minus the baseline: at the end, at equal cost, and its cost to get as far."""
    settings, trained = experiment.settings, budget_index(experiment.settings)
    evaluate, sides = settings.evaluate, (baseline, arm)
    resampling = evaluate.num_resamples, evaluate.confidence, evaluate.seed
    ends = [quantities(side.success[:, -1], settings) for side in sides]
    contrasts: Json = {"final": {}, "drift": {}, "matched": {}, "reach": {}}
    for level, mask in masks.items():
        before, after = (drifted(side, mask) for side in sides)
        contrasts["final"][level] = estimates(ends[1], mask, evaluate, ends[0])
        contrasts["drift"][level] = estimates(after, None, evaluate, before)
    for cost in COSTS:
        spent = [side.spent(cost, experiment.exam_rounds) for side in sides]
        at = min(float(side[:, -1].min()) for side in spent)
        matched: Json = contrasts["matched"].setdefault(cost, {"cost": at})
        reached: Json = contrasts["reach"].setdefault(cost, {})
        before = quantities(at_cost(baseline.success, spent[0], at), settings)
        after = quantities(at_cost(arm.success, spent[1], at), settings)
        for level, mask in masks.items():
            matched[level] = estimates(after, mask, evaluate, before)
            curves = (
                LearningCurve(baseline.success[:, :, mask, trained], spent[0]),
                LearningCurve(arm.success[:, :, mask, trained], spent[1]),
            )
            reached[level] = reach_json(reach(curves[0], curves[1], *resampling))
    return contrasts


def quantities(success: Float[np.ndarray, "run problem budget"], settings: Params) -> Quantities:
    """What is measured of each problem: success by budget, regret, what longer budgets add."""
    budgets = settings.exam.budgets_tokens
    trained = budget_index(settings)
    beyond = [times * budgets[trained] for times in BEYOND if times * budgets[trained] in budgets]
    measured = {f"budget_{budget}": success[..., place] for place, budget in enumerate(budgets)}
    measured["normalized_regret"] = normalized_regret(
        success, np.array(budgets), np.ones(len(budgets))
    )
    for budget in beyond:
        gained = success[..., budgets.index(budget)] - success[..., trained]
        measured[f"gain_at_{budget}"] = gained
    return measured


def budget_index(settings: Params) -> int:
    """Where the training budget stands among the exam's."""
    return settings.exam.budgets_tokens.index(settings.report.training_budget_tokens)


def drifted(arm: Arm, mask: np.ndarray) -> Quantities:
    """Rates of the last exam, and the entropy of the last round, which is of no problem."""
    return {**rates(arm.counts, mask), "last_entropy_nats": arm.rounds["last_entropy_nats"][:, -1:]}


def estimates(
    later: Quantities,
    mask: np.ndarray | None,
    settings: Evaluate,
    earlier: Quantities | None = None,
) -> dict[str, dict[str, float | None]]:
    """Mean of each quantity, less that of `earlier` run by run where given.

    Intervals are over runs and problems.
    """
    resampling = settings.num_resamples, settings.confidence, settings.seed
    intervals = {}
    for name, values in later.items():
        gained = values - (earlier[name] if earlier else 0)
        gained = gained if mask is None else gained[:, mask]
        nothing = np.zeros((1, gained.shape[1]))
        intervals[name] = bootstrap_seeds(nothing, gained, *resampling).rounded()
    return intervals


def final_by_run(arm: Arm, settings: Params, mask: np.ndarray) -> list[float]:
    """Success at the training budget in the end, of each run."""
    by_run = arm.success[:, -1, mask, budget_index(settings)].mean(axis=1)
    return [round(float(run), 4) for run in by_run]


def learning(arm: Arm, experiment: Experiment, mask: np.ndarray) -> list[Json]:
    """Success at the training budget by exam, and the mean cost of getting there."""
    spent = {cost: arm.spent(cost, experiment.exam_rounds) for cost in COSTS}
    trained, curve = budget_index(experiment.settings), []
    for place, num_rounds in enumerate(experiment.exam_rounds):
        success = {"success": arm.success[:, place, :, trained]}
        costs = {cost: round(float(by_run[:, place].mean()), 4) for cost, by_run in spent.items()}
        intervals = estimates(success, mask, experiment.settings.evaluate)
        curve.append({"num_rounds": int(num_rounds), **costs, **intervals})
    return curve


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


def _rounded(values: np.ndarray) -> list[list[float]]:
    rows = []
    for row in values.tolist():
        rows.append([round(value, 4) for value in row])
    return rows


if __name__ == "__main__":
    command(main)
