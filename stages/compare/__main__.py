"""Compare the examined policies in pairs, problem by problem.

Reads   grades of each exam; params.yaml `inits`, `rounds`, `exam.temperatures`, `exams`,
        `evaluate`, `report.training_budget_tokens`.
Writes  comparisons, one JSON object: later minus earlier policy of `exams`, by level and quantity,
        fractions, with bootstrap intervals over problems; `tokens_ratio`, tokens the later needs
        per token of the earlier to reach a success, null where one of them needs none;
        `temperatures`, at which each was sampled; `by_temperature`, differences in success with
        both at one. Policies that differ in seeds only are also compared as one
        (`a1+a2_minus_b1`), with intervals over seeds and problems.
Method  All policies sit one exam, so a comparison is the mean over problems of the difference
        within a problem (`stages.pure.estimates`, `exam`): over all, by structural difficulty, and
        by empirical difficulty, which is how often the first examined init fails. Each policy is
        taken at its own best temperature of the level, chosen on reserved problems, so that no
        lead is one that a colder sampler undoes; thirds by failure have that of all problems.

Example: python -m stages.compare --exams-dir data/exams --comparisons data/report/comparisons.json
"""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from stages.compare.rewards import BANDS, ExamRewards, budget_name, levels, read_rewards
from stages.contracts.params.base import Count, Name, read_section
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.exam import ExamEntry, Temperatures
from stages.contracts.params.inits.init import Init
from stages.contracts.params.round import Round
from stages.contracts.policy_tree import replicates
from stages.pure.estimates import bootstrap, bootstrap_of_means, bootstrap_seeds
from stages.pure.exam import normalized_regret, tokens_ratio
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts, write_json

Quantities = dict[str, dict[str, float | None] | None]
"""Interval of each quantity's difference; None where the quantity does not exist."""

Level = dict[str, Any]
"""Of one level: quantities, the temperatures of both policies, and differences at each one."""

# Of the lower of two policies' best success: both must reach it for their tokens to be compared.
REACHED_FRAC = 0.9


def main(exams_dir: Path, comparisons: Path, params_file: Path = Path("params.yaml")) -> None:
    """Compare every two policies."""
    examined = read_section(params_file, "exams", dict[Name, ExamEntry])
    inits = read_section(params_file, "inits", dict[Name, Init])
    rounds = read_section(params_file, "rounds", dict[Name, Round])
    settings = read_section(params_file, "evaluate", Evaluate)
    temperatures: list[float] = read_section(params_file, "exam.temperatures", Temperatures)
    budget = read_section(params_file, "report.training_budget_tokens", Count)
    facts = RunFacts("compare")
    with facts.phase("comparing"):
        rewards = {
            policy: read_rewards(exams_dir, policy, temperatures, budget) for policy in examined
        }
        compared = compare(rewards, [*inits], replicates(inits, rounds, examined), settings)
    write_json(comparisons, compared)
    facts.count(num_policies=len(rewards), num_comparisons=len(compared))
    facts.write(comparisons)


def compare(
    exams: Mapping[str, ExamRewards],
    inits: Collection[str],
    replicates: Sequence[Sequence[str]],
    settings: Evaluate,
) -> dict[str, dict[str, Level]]:
    """Later minus earlier policy, for every pair and every two lots of `replicates`, by level.

    Raises:
        BadInput: two exams differ in their problems or budgets, or a verifier failed on every
            answer of a level.
    """
    pairs: dict[str, dict[str, Level]] = {}
    _need_equal_exams(exams)
    for level, mask in levels(exams, inits).items():
        chosen = {policy: exam.best_temperature(level) for policy, exam in exams.items()}
        curves = {policy: exam.curve(chosen[policy], mask) for policy, exam in exams.items()}
        best = np.max([curve.mean().to_numpy() for curve in curves.values()], axis=0)
        measured = {policy: quantities(curve, best) for policy, curve in curves.items()}
        for earlier, later in combinations(curves, 2):
            pair = pairs.setdefault(f"{later}_minus_{earlier}", {})
            pair[level] = {
                **differences([measured[earlier]], [measured[later]], level, settings),
                "tokens_ratio": thrift(curves[earlier], curves[later], settings),
                "temperatures": {policy: chosen[policy] for policy in (earlier, later)},
            }
            if level not in BANDS:
                pair[level]["by_temperature"] = at_each_temperature(
                    exams[earlier], exams[later], mask, level, settings
                )
        for before, after in combinations(replicates, 2):
            if len(before) + len(after) > 2:
                several = pairs.setdefault(f"{'+'.join(after)}_minus_{'+'.join(before)}", {})
                earlier_seeds, later_seeds = (
                    [measured[policy] for policy in group] for group in (before, after)
                )
                several[level] = {
                    **differences(earlier_seeds, later_seeds, level, settings),
                    "temperatures": {policy: chosen[policy] for policy in (*before, *after)},
                }
    return pairs


def _need_equal_exams(exams: Mapping[str, ExamRewards]) -> None:
    first, *others = exams
    for other in others:
        if not exams[first].is_like(exams[other]):
            raise BadInput(
                f"exams {first} and {other} asked different problems or budgets, so they cannot be "
                f"paired; run `dvc repro examine@{first} examine@{other}`"
            )


def at_each_temperature(
    before: ExamRewards, after: ExamRewards, mask: pd.Series, level: str, settings: Evaluate
) -> dict[str, Quantities]:
    """Differences in success where both policies are sampled at one temperature, by temperature."""
    by_temperature = {}
    for temperature in before.at:
        earlier, later = (
            exam.curve(temperature, mask).rename(columns=budget_name) for exam in (before, after)
        )
        by_temperature[str(temperature)] = differences([earlier], [later], level, settings)
    return by_temperature


def quantities(curve: pd.DataFrame, best: Float[np.ndarray, " budget"]) -> pd.DataFrame:
    """What is compared of each problem, as columns.

    Success at each budget, and regret against the oracle and against the best observed.
    """
    budgets, columns = (
        curve.columns.to_numpy(),
        curve.rename(columns=budget_name),
    )
    columns["normalized_regret"] = normalized_regret(
        curve.to_numpy(), budgets, np.ones(len(budgets))
    )
    if best.any():
        columns["regret_against_best"] = normalized_regret(curve.to_numpy(), budgets, best)
    return columns


def differences(
    before: Sequence[pd.DataFrame], after: Sequence[pd.DataFrame], level: str, settings: Evaluate
) -> Quantities:
    """Mean differences of the quantities of two policies, or of two lots of them.

    The policies of a lot differ in seeds only.

    Raises:
        BadInput: the verifier failed on every answer of a level.
    """
    resampling = settings.num_resamples, settings.confidence, settings.seed
    estimates: Quantities = {}
    for name in before[0].columns:
        earlier, later = (
            np.stack([curve[name].to_numpy(float) for curve in curves])
            for curves in (before, after)
        )
        if np.isnan(later.mean(axis=0) - earlier.mean(axis=0)).all():
            raise BadInput(
                f"exams, {level}, {name}: the verifier failed on every answer; see column verdict "
                "of grades"
            )
        is_single = len(before) == len(after) == 1
        estimate = (
            bootstrap((later - earlier)[0], *resampling)
            if is_single
            else bootstrap_seeds(earlier, later, *resampling)
        )
        estimates[name] = estimate.rounded()
    return estimates


def thrift(
    before: pd.DataFrame, after: pd.DataFrame, settings: Evaluate
) -> dict[str, float | None] | None:
    """Tokens `after` needs per token `before` needs to reach a success that both reach.

    With the success that it is.
    """
    budgets = before.columns.to_numpy()
    reached = REACHED_FRAC * min(before.mean().max(), after.mean().max())

    def ratio(means: Float[np.ndarray, "*draw column"]) -> Float[np.ndarray, "*draw"]:
        return tokens_ratio(
            means[..., : len(budgets)], means[..., len(budgets) :], budgets, reached
        )

    columns = np.concatenate([before.to_numpy(), after.to_numpy()], axis=1)
    if not math.isfinite(ratio(np.nanmean(columns, axis=0))):
        return None
    estimate = bootstrap_of_means(
        [columns], ratio, settings.num_resamples, settings.confidence, settings.seed
    )
    return {**estimate.rounded(), "success_level": round(reached, 4)}


if __name__ == "__main__":
    command(main, writes=("comparisons",))
