"""Compare the arms of an experiment: at its end, at equal cost, and by the cost of getting as far.

Reads   every finished chain of `experiments.run`: grades and metrics of its exams, metrics and run
        facts of its rounds.
Writes  one JSON object; figures drawn from it, and a page of its numbers beside them. The profile's
        first arm is the baseline. Null is what does not exist: a level never reached, a share of
        nothing.
Method  Every number is of an arm at its own best temperature, chosen on the reserved problems over
        all of its runs, exam by exam and level by level (`experiments.exams`): a colder sampler is
        no merit of an objective. `by_temperature` has the differences at each temperature.
        Run i of every arm has the same init and the same seeds, so arms are compared in pairs: the
        difference of two arms is the mean over problems of their difference within a run, with
        intervals over runs and problems (`stages.pure.estimates.bootstrap_seeds`). An arm alone is
        compared with a policy that never succeeds. Runs that share an init count as independent
        there; `by_init` takes the init for the unit. `corrected` has intervals for as many
        comparisons as are made at the training budget (Bonferroni).
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

import numpy as np

from experiments import figures as drawing
from experiments.exams import Curves, Level, best_curves, levels
from experiments.gather import Arm, Experiment, gather
from experiments.measures import (
    Json,
    budget_index,
    by_init,
    by_run,
    drifted,
    estimates,
    means,
    num_fallen,
    quantities,
    reach_json,
)
from experiments.page import page
from experiments.reach import LearningCurve, at_cost, reach
from experiments.saturation import MIN_EXAMS, saturation
from stages.running.errors import command
from stages.running.publish import atomic, write_json

COSTS = ("rollout_tokens", "compute_tokens")  # by which arms are matched
CURVE_RESAMPLES = 200  # each fits a curve

ByLevel = Mapping[str, Curves]


def main(
    profile: Path,
    folder: Path,
    json: Path,
    figures: Path,
    arms: tuple[str, ...] = (),
    params_file: Path = Path("params.yaml"),
) -> None:
    """Compare the arms on the runs that are finished; of an experiment half done, some of them."""
    experiment = gather(profile, folder, params_file, arms)
    if experiment.missing:
        print(
            f"{len(experiment.missing)} chain(s) missing: {', '.join(experiment.missing)}",
            file=sys.stderr,
        )
    num_runs = len(next(iter(experiment.chain_names.values())))
    print(f"comparing {len(experiment.arms)} arms on {num_runs} run(s) each", file=sys.stderr)
    arguments = ["--profile", profile, "--folder", folder, "--json", json, "--figures", figures]
    if arms:
        arguments += ["--arms", *arms]
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
    settings, trained = experiment.settings, budget_index(experiment.settings)
    baseline, *others = experiment.arms
    by_level = levels(experiment.problems)
    curves: dict[str, dict[str, Curves]] = {}
    for name, arm in experiment.arms.items():
        curves[name] = {
            level: best_curves(arm.success, of_level, trained, settings.exam.temperatures)
            for level, of_level in by_level.items()
        }
    num_comparisons = len(others) * len(by_level)
    differences = {}
    for name in others:
        pair = f"{name}_minus_{baseline}"
        differences[pair] = contrast(experiment, (baseline, name), curves, num_comparisons)
    arms = {
        name: describe(arm, experiment, by_level, curves[name])
        for name, arm in experiment.arms.items()
    }
    return {
        "commit": experiment.commit,
        "baseline": baseline,
        "chains": experiment.chain_names,
        "missing": experiment.missing,
        "num_runs": len(experiment.chain_names[baseline]),
        "num_comparisons": num_comparisons,
        "num_problems": {level: int(one.heldout.sum()) for level, one in by_level.items()},
        "num_reserved_problems": {
            level: int(one.reserved.sum()) for level, one in by_level.items()
        },
        "num_unverified_problems": experiment.problems.num_unverified,
        "exam_rounds": experiment.exam_rounds.tolist(),
        "temperatures": settings.exam.temperatures,
        "budgets_tokens": settings.exam.budgets_tokens,
        "training_budget_tokens": settings.report.training_budget_tokens,
        "trained_difficulties": experiment.trained_difficulties,
        "confidence": settings.evaluate.confidence,
        "num_resamples": settings.evaluate.num_resamples,
        "init": {
            level: estimates(quantities(one.success[:, 0], settings), settings.evaluate)
            for level, one in curves[baseline].items()
        },
        "arms": arms,
        "differences": differences,
    }


def describe(
    arm: Arm, experiment: Experiment, by_level: Mapping[str, Level], curves: ByLevel
) -> Json:
    """What one arm cost, learnt and drifted to."""
    settings = experiment.settings
    evaluate = settings.evaluate
    costs = {}
    for name, of_run in arm.costs.items():
        cumulative = np.cumsum(of_run, axis=1)
        costs[name] = {"by_round": of_run.round(4).tolist(), "cumulative": cumulative.tolist()}
    summary: Json = {
        name: {}
        for name in (
            "temperatures",
            "final",
            "over_init",
            "learning",
            "saturation",
            "by_run",
            "drift",
            "fallen",
        )
    }
    for level, one in curves.items():
        first, last = (quantities(one.success[:, exam], settings) for exam in (0, -1))
        summary["temperatures"][level] = [settings.exam.temperatures[place] for place in one.chosen]
        summary["final"][level] = estimates(last, evaluate)
        summary["over_init"][level] = estimates(last, evaluate, first)
        summary["learning"][level] = learning(arm, experiment, one)
        summary["saturation"][level] = saturated(experiment, one)
        summary["by_run"][level] = by_run(arm, by_level[level])
        summary["drift"][level] = estimates(drifted(arm, by_level[level], one), evaluate)
        at_trained = one.success[..., budget_index(settings)]
        summary["fallen"][level] = num_fallen(at_trained)
    return {
        "supervision": arm.supervision,
        "costs": costs,
        **summary,
        "rounds": {name: means(of_run) for name, of_run in arm.rounds.items()},
        "exams": {name: means(of_run) for name, of_run in arm.exams.items()},
    }


def contrast(
    experiment: Experiment,
    pair: tuple[str, str],
    curves: Mapping[str, ByLevel],
    num_comparisons: int,
) -> Json:
    """An arm minus the baseline: at the end, at equal cost, and its cost to get as far."""
    ends: Json = {}
    for level in levels(experiment.problems):
        for name, found in end(experiment, pair, level, curves, num_comparisons).items():
            ends.setdefault(name, {})[level] = found
    return {**ends, **at_equal_cost(experiment, pair, curves)}


def end(
    experiment: Experiment,
    pair: tuple[str, str],
    level: str,
    curves: Mapping[str, ByLevel],
    num_comparisons: int,
) -> Json:
    """An arm minus the baseline at the last exam, at one level."""
    settings, trained = experiment.settings, budget_index(experiment.settings)
    evaluate, budget = settings.evaluate, f"budget_{settings.report.training_budget_tokens}"
    confidence = 1 - (1 - evaluate.confidence) / num_comparisons
    strict = evaluate.model_copy(update={"confidence": confidence})
    sides = [experiment.arms[name] for name in pair]
    problems, of_sides = levels(experiment.problems)[level], [curves[name][level] for name in pair]
    before, after = (quantities(side.success[:, -1], settings) for side in of_sides)
    drifts = [drifted(side, problems, own) for side, own in zip(sides, of_sides, strict=True)]
    by_temperature = {}
    for place, temperature in enumerate(settings.exam.temperatures):
        earlier, later = (
            {budget: side.success[:, -1, place][:, problems.heldout, trained]} for side in sides
        )
        by_temperature[str(temperature)] = estimates(later, evaluate, earlier)[budget]
    return {
        "final": estimates(after, evaluate, before),
        "corrected": estimates({budget: after[budget]}, strict, {budget: before[budget]})[budget],
        "by_init": by_init(after[budget] - before[budget], experiment.init_seeds),
        "by_temperature": by_temperature,
        "drift": estimates(drifts[1], evaluate, drifts[0]),
    }


def at_equal_cost(
    experiment: Experiment, pair: tuple[str, str], curves: Mapping[str, ByLevel]
) -> Json:
    """An arm minus the baseline when both had spent as much, and its cost to get as far."""
    settings, trained = experiment.settings, budget_index(experiment.settings)
    evaluate = settings.evaluate
    resampling = evaluate.num_resamples, evaluate.confidence, evaluate.seed
    contrasts: Json = {"matched": {}, "reach": {}}
    for cost in COSTS:
        spent = [experiment.arms[name].spent(cost, experiment.exam_rounds) for name in pair]
        at = min(float(side[:, -1].min()) for side in spent)
        matched: Json = contrasts["matched"].setdefault(cost, {"cost": at})
        reached: Json = contrasts["reach"].setdefault(cost, {})
        for level in levels(experiment.problems):
            success = [curves[name][level].success for name in pair]
            before, after = (
                quantities(at_cost(own, paid, at), settings)
                for own, paid in zip(success, spent, strict=True)
            )
            matched[level] = estimates(after, evaluate, before)
            of_baseline, of_arm = (
                LearningCurve(own[..., trained], paid)
                for own, paid in zip(success, spent, strict=True)
            )
            reached[level] = reach_json(reach(of_baseline, of_arm, *resampling))
    return contrasts


def learning(arm: Arm, experiment: Experiment, curves: Curves) -> list[Json]:
    """Success at the training budget by exam, and the mean cost of getting there."""
    spent = {cost: arm.spent(cost, experiment.exam_rounds) for cost in COSTS}
    trained, curve = budget_index(experiment.settings), []
    for place, num_rounds in enumerate(experiment.exam_rounds):
        success = {"success": curves.success[:, place, :, trained]}
        costs = {cost: round(float(paid[:, place].mean()), 4) for cost, paid in spent.items()}
        intervals = estimates(success, experiment.settings.evaluate)
        curve.append({"num_rounds": int(num_rounds), **costs, **intervals})
    return curve


def saturated(experiment: Experiment, curves: Curves) -> Json | None:
    """Where the learning curve ends and how soon it is half way there; None of too few exams."""
    rounds = experiment.exam_rounds.astype(float)
    if len(rounds) < MIN_EXAMS:
        return None
    trained, evaluate = budget_index(experiment.settings), experiment.settings.evaluate
    resampling = CURVE_RESAMPLES, evaluate.confidence, evaluate.seed
    found = saturation(curves.success[..., trained], rounds, *resampling)
    return {
        "ceiling": found.ceiling.rounded(),
        "half_rounds": found.half_rounds.rounded(),
        "unseen_frac": round(found.unseen_frac, 4),
    }


if __name__ == "__main__":
    command(main)
