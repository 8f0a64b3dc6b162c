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
            f"{name}_minus_{baseline}": contrast(
                experiment.arms[baseline], experiment.arms[name], experiment, masks
            )
            for name in others
        },
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
    return {
        "costs": {
            name: {"by_round": _rounded(by_run), "cumulative": _rounded(np.cumsum(by_run, axis=1))}
            for name, by_run in arm.costs.items()
        },
        "final": {
            level: estimates(final, mask, settings.evaluate) for level, mask in masks.items()
        },
        "final_by_run": {level: final_by_run(arm, settings, mask) for level, mask in masks.items()},
        "learning": {level: learning(arm, experiment, mask) for level, mask in masks.items()},
        "rounds": {name: means(by_run) for name, by_run in arm.rounds.items()},
        "exams": {name: means(by_run) for name, by_run in arm.exams.items()},
        "drift": {
            level: estimates(drifted(arm, mask), None, settings.evaluate)
            for level, mask in masks.items()
        },
    }


def contrast(
    baseline: Arm, arm: Arm, experiment: Experiment, masks: Mapping[str, np.ndarray]
) -> Json:
    """An arm minus the baseline: at the end, at equal cost, and its cost to get as far."""
    settings, trained = experiment.settings, budget_index(experiment.settings)
    resampling = (
        settings.evaluate.num_resamples,
        settings.evaluate.confidence,
        settings.evaluate.seed,
    )
    before, after = (quantities(side.success[:, -1], settings) for side in (baseline, arm))
    contrasts: Json = {
        "final": {
            level: estimates(after, mask, settings.evaluate, before)
            for level, mask in masks.items()
        },
        "drift": {
            level: estimates(drifted(arm, mask), None, settings.evaluate, drifted(baseline, mask))
            for level, mask in masks.items()
        },
        "matched": {},
        "reach": {},
    }
    for cost in COSTS:
        spent = [side.spent(cost, experiment.exam_rounds) for side in (baseline, arm)]
        at = min(float(side[:, -1].min()) for side in spent)
        before, after = (
            quantities(at_cost(side.success, arm_spent, at), settings)
            for side, arm_spent in zip((baseline, arm), spent, strict=True)
        )
        contrasts["matched"][cost] = {
            "cost": at,
            **{
                level: estimates(after, mask, settings.evaluate, before)
                for level, mask in masks.items()
            },
        }
        contrasts["reach"][cost] = {}
        for level, mask in masks.items():
            ours, theirs = (
                LearningCurve(side.success[:, :, mask, trained], arm_spent)
                for side, arm_spent in zip((arm, baseline), spent[::-1], strict=True)
            )
            contrasts["reach"][cost][level] = reach_json(reach(theirs, ours, *resampling))
    return contrasts


def quantities(success: Float[np.ndarray, "run problem budget"], settings: Params) -> Quantities:
    """What is measured of each problem: success at each budget, regret, and what budgets beyond the
    trained one add.
    """
    budgets = settings.exam.budgets_tokens
    trained = budget_index(settings)
    beyond = [times * budgets[trained] for times in BEYOND if times * budgets[trained] in budgets]
    return {
        **{f"budget_{budget}": success[..., place] for place, budget in enumerate(budgets)},
        "normalized_regret": normalized_regret(success, np.array(budgets), np.ones(len(budgets))),
        **{
            f"gain_at_{budget}": success[..., budgets.index(budget)] - success[..., trained]
            for budget in beyond
        },
    }


def budget_index(settings: Params) -> int:
    """Where the training budget stands among the exam's."""
    return settings.exam.budgets_tokens.index(settings.report.training_budget_tokens)


def drifted(arm: Arm, mask: np.ndarray) -> Quantities:
    """Rates of the last exam, and the entropy behind the last round, which is a number of a run and
    of no problem.
    """
    return {**rates(arm.counts, mask), "last_entropy_nats": arm.rounds["last_entropy_nats"][:, -1:]}


def estimates(
    later: Quantities,
    mask: np.ndarray | None,
    settings: Evaluate,
    earlier: Quantities | None = None,
) -> dict[str, dict[str, float | None]]:
    """Mean of each quantity, minus that of `earlier` run by run where given, with intervals over
    runs and problems.
    """
    resampling = settings.num_resamples, settings.confidence, settings.seed
    gained = {name: values - (earlier[name] if earlier else 0) for name, values in later.items()}
    masked = {name: values if mask is None else values[:, mask] for name, values in gained.items()}
    return {
        name: bootstrap_seeds(np.zeros((1, of.shape[1])), of, *resampling).rounded()
        for name, of in masked.items()
    }


def final_by_run(arm: Arm, settings: Params, mask: np.ndarray) -> list[float]:
    """Success at the training budget in the end, of each run."""
    return [
        round(float(run), 4)
        for run in arm.success[:, -1, mask, budget_index(settings)].mean(axis=1)
    ]


def learning(arm: Arm, experiment: Experiment, mask: np.ndarray) -> list[Json]:
    """Success at the training budget by exam, and the mean cost of getting there."""
    settings, spent = (
        experiment.settings,
        {cost: arm.spent(cost, experiment.exam_rounds) for cost in COSTS},
    )
    trained = budget_index(settings)
    return [
        {
            "num_rounds": int(num_rounds),
            **{
                cost: round(float(run_costs[:, place].mean()), 4)
                for cost, run_costs in spent.items()
            },
            **estimates({"success": arm.success[:, place, :, trained]}, mask, settings.evaluate),
        }
        for place, num_rounds in enumerate(experiment.exam_rounds)
    ]


def means(values: Float[np.ndarray, "run place"]) -> list[float | None]:
    """Mean over the runs that have a value, at each place; None where none has."""
    return [
        None if np.isnan(of_place).all() else round(float(np.nanmean(of_place)), 4)
        for of_place in values.T
    ]


def reach_json(reached: Reach) -> Json:
    """As JSON."""
    return {
        "level": round(reached.level, 4),
        "ratio": reached.ratio.rounded(),
        "inverse": reached.inverse.rounded(),
        "never_frac": round(reached.never_frac, 4),
        "undefined_frac": round(reached.undefined_frac, 4),
    }


def _rounded(values: np.ndarray) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in values.tolist()]


if __name__ == "__main__":
    command(main)
