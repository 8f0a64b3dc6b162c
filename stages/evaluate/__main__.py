"""What an exam's grades amount to: success by difficulty, temperature and budget, verdicts.

Reads   grades; params.yaml `evaluate`, `exam.temperatures`, `report.training_budget_tokens`.
Writes  metrics, one JSON object: fractions and tokens of the held-out problems, with bootstrap
        intervals over problems, and what to train on next; summary, the few that are read first.
        All but `success_by_temperature` is at the level's best temperature, `temperature`. Null
        where a number does not exist: tokens to a success never reached, shares of nothing,
        memorisation without problems of the train split, extrapolation without a budget beyond the
        one trained at, what thinking adds without the budget 0.
Method  `stages.pure.estimates`, `exam` and `curriculum`. The best temperature of a level is that of
        the highest success at the training budget on its reserved problems, which nothing else is
        computed from. A verifier's failure is left out of the means and counted. Best-of-n chooses
        by the judge's score; the exact one's is the reward, and so makes it pass@k.

Example: python -m stages.evaluate --grades data/exams/r0/grades.parquet \
         --metrics data/metrics/exams/r0.json --summary data/metrics/summary/exams/r0.json
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from stages.contracts.params.base import Count, read_section
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.exam import Temperatures
from stages.contracts.storage.reading import count_rows
from stages.contracts.tables.grades import GRADES
from stages.evaluate.curriculum import DOUBLING_GAIN, coupled_budget, next_difficulty
from stages.evaluate.exam_sums import Sums, read_sums
from stages.evaluate.headline import headline
from stages.evaluate.intervals import Intervals, Json
from stages.evaluate.temperatures import choose, heldout_curves, success_by_temperature
from stages.pure import exam
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts, write_json

SUCCESS_LEVELS = (0.25, 0.5, 0.75)  # whose tokens are measured
MASTERED_SUCCESS = 0.75  # at which the curriculum goes on to the next difficulty
CHOICES = ("pass_at_k", "maj_at_k", "best_of_n")
VERDICTS = (
    "false_positives",
    "judged_misses",
    "false_negatives",
    "judged_hits",
    "hits",
    "segments",
)


def main(
    grades: Path, metrics: Path, summary: Path, params_file: Path = Path("params.yaml")
) -> None:
    """Measure one exam by its grades."""
    settings = read_section(params_file, "evaluate", Evaluate)
    temperatures: list[float] = read_section(params_file, "exam.temperatures", Temperatures)
    training_budget = read_section(params_file, "report.training_budget_tokens", Count)
    facts = RunFacts("evaluate")
    with facts.phase("estimating"):
        sums = read_sums(grades)
        report = {
            name: grade(part, temperatures, training_budget, Intervals(settings))
            for name, part in by_level(sums)
        }
    write_json(metrics, {**report, "curriculum": next_training(report)})
    write_json(summary, headline(report["all"], training_budget))
    facts.count(num_answers=count_rows(grades, GRADES))
    facts.write(metrics)


def by_level(sums: Sums) -> Iterator[tuple[str, Sums]]:
    """The exam as a whole, and each difficulty's part of it."""
    yield "all", sums
    for level in sorted({*sums.answers["difficulty"].tolist()}):
        yield f"difficulty_{level}", sums.at_level(level)


def grade(
    sums: Sums, temperatures: Sequence[float], training_budget_tokens: int, intervals: Intervals
) -> dict[str, Any]:
    """Metrics of one level at its best temperature, and success at each.

    Raises:
        BadInput: answers at a temperature are missing, or every verifier of the exam failed.
    """
    temperature = choose(sums.answers, temperatures, training_budget_tokens)
    by_temperature = success_by_temperature(sums, temperatures, intervals)
    return {
        "temperature": temperature,
        "success": by_temperature[str(temperature)],
        "success_by_temperature": by_temperature,
        **grade_one(sums.at_temperature(temperature), training_budget_tokens, intervals),
    }


def grade_one(sums: Sums, training_budget_tokens: int, intervals: Intervals) -> dict[str, Any]:
    """Metrics of answers at one temperature: of the held-out ones, and memorisation.

    Raises:
        BadInput: every verifier of the exam failed.
    """
    heldout = sums.answers[sums.answers["split"] == "heldout"]
    means = heldout_curves(sums.answers)
    curve, budgets = means.to_numpy(), means.columns.to_numpy()
    if np.isnan(curve).all(axis=0).any():
        raise BadInput(
            "exam: the verifier failed on every answer at some budget; see `verdict` in grades"
        )
    longest = heldout[heldout["budget_tokens"] == budgets[-1]]
    num_segments = max(1, int(longest["num_segments"].sum()))
    totals = heldout.groupby("budget_tokens")[["used_tokens", "num_forced", "num_answers"]].sum()
    return {
        **curve_metrics(curve, budgets, training_budget_tokens, intervals),
        **choice_metrics(sums.choices, intervals),
        **verdict_metrics(longest, intervals),
        "success_by_num_segments": success_by_num_segments(
            sums.thoughtful[sums.thoughtful["budget_tokens"] == budgets[-1]], intervals
        ),
        "memorisation": memorisation(sums.answers, intervals),
        "used_tokens": {
            f"budget_{b}": round(float(t.used_tokens / t.num_answers), 4)
            for b, t in totals.iterrows()
        },
        "forced_frac": {
            f"budget_{b}": round(float(t.num_forced / t.num_answers), 4)
            for b, t in totals.iterrows()
        },
        "repeat_frac": round(float(longest["num_repeats"].sum()) / num_segments, 4),
        "hit_frac": round(float(longest["num_hits"].sum()) / num_segments, 4),
        "num_problems": int(heldout["problem_id"].nunique()),
        "num_unverified": int(heldout["num_unverified"].sum()),
    }


def curve_metrics(
    curve: Float[np.ndarray, "problem budget"],
    budgets: Int[np.ndarray, " budget"],
    training_budget_tokens: int,
    intervals: Intervals,
) -> dict[str, Any]:
    """What the success curve amounts to.

    The own best is the highest mean success at any budget, at every budget.
    """
    trained = int(np.searchsorted(budgets, training_budget_tokens))

    def regret_against_own_best(
        means: Float[np.ndarray, "*draw budget"],
    ) -> Float[np.ndarray, "*draw"]:
        return exam.normalized_regret(
            means, budgets, np.broadcast_to(means.max(-1, keepdims=True), means.shape)
        )

    return {
        "normalized_regret": intervals.mean(
            exam.normalized_regret(curve, budgets, np.ones(len(budgets)))
        ),
        "regret_against_own_best": intervals.of([curve], regret_against_own_best),
        "extrapolation": intervals.mean(curve[:, -1] - curve[:, trained])
        if trained < len(budgets) - 1
        else None,
        "thinking_adds": intervals.mean(curve[:, trained] - curve[:, 0])
        if budgets[0] == 0 and trained < len(budgets)
        else None,
        "tokens_to_reach": {
            f"success_{round(100 * level)}": intervals.of(
                [curve], partial(exam.tokens_to_reach, budgets=budgets, level=level)
            )
            for level in SUCCESS_LEVELS
        },
    }


def choice_metrics(choices: pd.DataFrame, intervals: Intervals) -> dict[str, Any]:
    """pass@k, maj@k and best-of-n at each budget.

    k and n are 1, 2, 4 … up to the samples of a problem.
    """
    return {
        name: {
            f"budget_{budget}": {
                f"k_{k}": intervals.mean(values.to_numpy())
                for k, values in of_budget.groupby("k")[name]
            }
            for budget, of_budget in choices.groupby("budget_tokens")
        }
        for name in CHOICES
    }


def verdict_metrics(longest: pd.DataFrame, intervals: Intervals) -> dict[str, Any]:
    """How far the policy's verdicts on its own attempts can be trusted.

    And by how much checking beats finding.
    """
    counts = longest.sort_values("problem_id")[[f"num_{name}" for name in VERDICTS]].to_numpy(float)

    def gap(means: Float[np.ndarray, "*draw count"]) -> Float[np.ndarray, "*draw"]:
        return exam.generation_verification_gap(
            *(exam.error_frac(means[..., i], means[..., i + 1]) for i in (0, 2, 4))
        )

    return {
        "self_verification": {
            "false_positive_frac": intervals.of(
                [counts], lambda means: exam.error_frac(means[..., 0], means[..., 1])
            ),
            "false_negative_frac": intervals.of(
                [counts], lambda means: exam.error_frac(means[..., 2], means[..., 3])
            ),
        },
        "generation_verification_gap": intervals.of([counts], gap),
    }


def success_by_num_segments(thoughtful: pd.DataFrame, intervals: Intervals) -> dict[str, Any]:
    """Success of the samples that thought so many whole segments, at the longest budget.

    And of how many problems they are.
    """
    return {
        f"segments_{number}": {
            **(intervals.mean(of_number.sort_values("problem_id")["reward"].to_numpy()) or {}),
            "num_problems": len(of_number),
        }
        for number, of_number in thoughtful.groupby("num_segments")
    }


def memorisation(answers: pd.DataFrame, intervals: Intervals) -> Json:
    """Success on problems of the train split minus success on held-out ones, at the longest budget.

    Difficulties weigh the same, whatever their number of problems in either split, so that only
    having been seen differs. None without problems of both splits.
    """
    longest = answers[answers["budget_tokens"] == answers["budget_tokens"].max()]
    means = (
        longest.set_index(["difficulty", "split", "problem_id"])["reward"]
        .astype(float)
        .sort_index()
        .dropna()
    )
    present = means.groupby(["difficulty", "split"]).size().unstack()
    if not {"train", "heldout"} <= {*present}:
        return None
    both = present[["train", "heldout"]].dropna().index
    pairs = [
        means.loc[level, split].to_numpy()[:, None]
        for level in both
        for split in ("train", "heldout")
    ]
    return (
        intervals.of(pairs, lambda m: (m[..., ::2] - m[..., 1::2]).mean(axis=-1)) if pairs else None
    )


def next_training(report: Mapping[str, Any]) -> dict[str, Any]:
    """Budget and difficulties for the next round, by e3's coupled curriculum.

    None and none where nothing succeeds.
    """
    levels = {
        int(name.removeprefix("difficulty_")): metrics
        for name, metrics in report.items()
        if name != "all"
    }
    budgets = np.array([int(name.removeprefix("budget_")) for name in report["all"]["success"]])
    success = {
        n: np.array([at["mean"] for at in metrics["success"].values()])
        for n, metrics in levels.items()
    }
    tokens = {n: coupled_budget(curve, budgets, DOUBLING_GAIN) for n, curve in success.items()}
    chosen = next_difficulty({n: curve.max() for n, curve in success.items()}, MASTERED_SUCCESS)
    return {
        "budget_tokens": None if chosen is None else tokens[chosen],
        "difficulties": [] if chosen is None else [chosen],
        "budget_tokens_by_difficulty": {f"difficulty_{n}": budget for n, budget in tokens.items()},
    }


if __name__ == "__main__":
    command(main, writes=("metrics", "summary"))
