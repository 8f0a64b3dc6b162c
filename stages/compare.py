"""Compare the examined policies in pairs, problem by problem.

Reads   grades of each exam; params.yaml `inits`, `rounds`, `exams`, `evaluate`.
Writes  comparisons, one JSON object: later minus earlier policy of `exams`, by level and quantity,
        fractions, with bootstrap intervals over problems; `tokens_ratio`, tokens the later needs
        per token of the earlier to reach a success, null where one of them needs none. Policies
        that differ in seeds only are also compared as one (`a1+a2_minus_b1`), with intervals over
        seeds and problems.
Method  All policies sit one exam, so a comparison is the mean over problems of the difference
        within a problem (`stages.pure.estimates`, `exam`): over all, by structural difficulty, and
        by empirical difficulty, which is how often the first examined init fails.

Example: python -m stages.compare --exams-dir data/exams --comparisons data/report/comparisons.json
"""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from stages.contracts.params.base import Name, read_section
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.exam import ExamEntry
from stages.contracts.params.inits.init import Init
from stages.contracts.params.round import Round
from stages.contracts.policy_tree import replicates
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.grades import GRADES
from stages.pure.estimates import bootstrap, bootstrap_of_means, bootstrap_seeds
from stages.pure.exam import failure_bands, normalized_regret, tokens_ratio
from stages.running.errors import BadInput, command
from stages.running.facts import RunFacts
from stages.running.publish import write_json

Quantities = dict[str, dict[str, float | None] | None]
"""Interval of each quantity's difference; None where the quantity does not exist."""

BANDS = ("failure_low", "failure_middle", "failure_high")
# Of the lower of two policies' best success: both must reach it for their tokens to be compared.
REACHED_FRAC = 0.9


def main(exams_dir: Path, comparisons: Path, params_file: Path = Path("params.yaml")) -> None:
    """Compare every two policies."""
    examined = read_section(params_file, "exams", dict[Name, ExamEntry])
    inits = read_section(params_file, "inits", dict[Name, Init])
    rounds = read_section(params_file, "rounds", dict[Name, Round])
    settings = read_section(params_file, "evaluate", Evaluate)
    facts = RunFacts("compare")
    with facts.phase("comparing"):
        grades = {
            p: read_table(exams_dir / p / "grades.parquet", GRADES).to_pandas() for p in examined
        }
        compared = compare(grades, [*inits], replicates(inits, rounds, examined), settings)
    write_json(comparisons, compared)
    facts.count(num_policies=len(grades), num_comparisons=len(compared))
    facts.write(comparisons)


def compare(
    grades: Mapping[str, pd.DataFrame],
    inits: Collection[str],
    replicates: Sequence[Sequence[str]],
    settings: Evaluate,
) -> dict[str, dict[str, Quantities]]:
    """Later minus earlier policy, for every pair and every two lots of `replicates`, by level.

    Raises:
        BadInput: two exams differ in their problems or budgets, or a verifier failed on every
            answer of a level.
    """
    rewards = {policy: heldout_rewards(graded) for policy, graded in grades.items()}
    first, *others = rewards
    for other in others:
        if not all(map(pd.Index.equals, rewards[first].axes, rewards[other].axes)):
            raise BadInput(
                f"exams {first} and {other} asked different problems or budgets, so they cannot be "
                f"paired; run `dvc repro examine@{first} examine@{other}`"
            )
    pairs: dict[str, dict[str, Quantities]] = {}
    for level, mask in levels(grades[first], rewards, inits).items():
        curves = {
            policy: reward[mask].groupby("problem_id").mean() for policy, reward in rewards.items()
        }
        best = np.max([curve.mean().to_numpy() for curve in curves.values()], axis=0)
        measured = {policy: quantities(curve, best) for policy, curve in curves.items()}
        for earlier, later in combinations(curves, 2):
            pair = pairs.setdefault(f"{later}_minus_{earlier}", {})
            pair[level] = {
                **differences([measured[earlier]], [measured[later]], level, settings),
                "tokens_ratio": thrift(curves[earlier], curves[later], settings),
            }
        for before, after in combinations(replicates, 2):
            if len(before) + len(after) > 2:
                several = pairs.setdefault(f"{'+'.join(after)}_minus_{'+'.join(before)}", {})
                earlier_seeds, later_seeds = (
                    [measured[policy] for policy in group] for group in (before, after)
                )
                several[level] = differences(earlier_seeds, later_seeds, level, settings)
    return pairs


def heldout_rewards(graded: pd.DataFrame) -> pd.DataFrame:
    """Rewards of the held-out answers, a row a (problem, sample) and a column a budget."""
    heldout = graded[graded["split"] == "heldout"].astype({"reward": float})
    return heldout.set_index(["problem_id", "sample_index", "budget_tokens"])["reward"].unstack()


def levels(
    graded: pd.DataFrame, rewards: Mapping[str, pd.DataFrame], inits: Collection[str]
) -> dict[str, pd.Series]:
    """Which samples count at each level.

    Levels are all, each structural difficulty, and thirds of the problems by failure.

    Failure is that of the first examined init, over all budgets, never of a policy that has learnt
    since. A sample is put in a band by the problem's other samples: banded by itself, the init
    would seem to fail on what it happened to fail on, and whoever is compared with it to have
    gained there. So one sample a problem gives no bands.
    """
    index = next(iter(rewards.values())).index
    difficulty = (
        graded.groupby("problem_id")["difficulty"].first().loc[index.get_level_values("problem_id")]
    )
    masks_by_level = {"all": pd.Series(True, index)}
    masks_by_level |= {
        f"difficulty_{n}": pd.Series((difficulty == n).to_numpy(), index)
        for n in sorted({*difficulty})
    }
    init = next((policy for policy in rewards if policy in inits), None)
    if init is None or index.get_level_values("sample_index").nunique() == 1:
        return masks_by_level
    bands = pd.concat(
        [_bands_of_others(rewards[init], sample) for sample in index.unique("sample_index")]
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


def quantities(curve: pd.DataFrame, best: Float[np.ndarray, " budget"]) -> pd.DataFrame:
    """What is compared of each problem, as columns.

    Success at each budget, and regret against the oracle and against the best observed.
    """
    budgets, columns = (
        curve.columns.to_numpy(),
        curve.rename(columns=lambda budget: f"budget_{budget}"),
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
