"""Judge and grade an exam: success by difficulty and budget, regret and habits, with intervals.

Reads   answers, thoughts, problems, the policy's tokenizer; params.yaml `task`, `evaluate`.
Writes  grades, one row per (problem, sample, budget); metrics, one JSON object: fractions, with bootstrap intervals
        over problems; the success curve, as points to plot.
Method  `stages.pure.estimates`. A verifier's failure is left out of the means and counted.

Example: python -m stages.evaluate --problems data/problems.parquet --tokenizer data/policies/r0/tokenizer.json \
         --answers data/exams/r0/answers.parquet --thoughts data/exams/r0/thoughts.parquet \
         --grades data/exams/r0/grades.parquet --metrics data/metrics/exams/r0.json \
         --curve data/metrics/curves/exams/r0.json
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stages.contracts import params, tables
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.publish import write_json
from stages.contracts.render import Renderer
from stages.contracts.task_params import TaskParams
from stages.pure.estimates import Estimate, bootstrap, normalized_regret, problem_means
from stages.pure.segments import marker_boundaries
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.task import Format, Problem, closing_marker
from stages.verifiers.isolated import Request, judge
from stages.verifiers.verdict import Verdict

HABITS = {"repeat_frac": "num_repeats", "hit_frac": "num_hits", "false_verdict_frac": "num_false_verdicts"}


class Thought(NamedTuple):
    """One thinking segment: where it ends, and whether it hits, repeats an earlier one, or misjudges itself."""

    end_token: int
    is_hit: bool
    is_repeat: bool
    is_false_verdict: bool


def main(
    problems: Path,
    tokenizer: Path,
    answers: Path,
    thoughts: Path,
    grades: Path,
    metrics: Path,
    curve: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Judge and grade one exam."""
    everything = params.load(params_file)
    facts = RunFacts("evaluate")
    by_id = {problem.problem_id: problem for problem in read_problems(problems, split="heldout")}
    given = tables.read(answers, tables.ANSWERS).to_pylist()
    samples = tables.read(thoughts, tables.THOUGHTS).to_pylist()

    with facts.phase("judging"):
        requests = [Request(by_id[row["problem_id"]], row["answer"], False) for row in given]
        verdicts = judge(everything.task, requests)
        looked = look_at_thinking(samples, by_id, everything.task, Renderer.of_policy(tokenizer))
        rows = [_grade_row(row, by_id, verdict, looked) for row, verdict in zip(given, verdicts, strict=True)]
        tables.write(grades, tables.GRADES, rows)

    with facts.phase("estimating"):
        graded = tables.read(grades, tables.GRADES).to_pandas()
        levels = {f"difficulty_{level}": part for level, part in graded.groupby("difficulty")}
        report = {name: grade(part, everything.evaluate) for name, part in {"all": graded, **levels}.items()}
    write_json(metrics, report)
    write_json(curve, curve_points(report))
    facts.count(num_answers=len(graded))
    facts.write(grades)


def look_at_thinking(
    samples: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Problem],
    task: TaskParams,
    renderer: Renderer,
) -> dict[tuple[str, int], list[Thought]]:
    """The thinking segments of each sample, by (problem_id, sample_index)."""
    form = load_format(task)
    markers = [renderer.encode(marker) for marker in form.segment_ends]
    texts, ends = [], []
    for sample in samples:
        tokens = sample["thinking_tokens"]
        boundaries = marker_boundaries(tokens, markers)
        texts.append([renderer.decode(tokens[a:b]) for a, b in pairwise(boundaries)])
        ends.append(boundaries[1:])
    asked = [problems[sample["problem_id"]] for sample in samples]
    requests = [Request(p, text, True) for p, segments in zip(asked, texts, strict=True) for text in segments]
    verdicts = iter(judge(task, requests))
    return {
        (sample["problem_id"], sample["sample_index"]): [
            _thought(end, segments[:index], text, next(verdicts), form)
            for index, (end, text) in enumerate(zip(segment_ends, segments, strict=True))
        ]
        for sample, segments, segment_ends in zip(samples, texts, ends, strict=True)
    }


def _thought(end: int, earlier: Sequence[str], text: str, verdict: Verdict | None, form: Format) -> Thought:
    marker = closing_marker(text, form.segment_ends)
    claim = form.self_verdicts.get(marker) if marker else None
    is_hit = verdict is Verdict.CORRECT
    is_judged = claim is not None and verdict is not None and verdict.reward is not None
    return Thought(end, is_hit, text in earlier, is_judged and claim != is_hit)


def _grade_row(
    row: Mapping[str, Any],
    problems: Mapping[str, Problem],
    verdict: Verdict | None,
    looked: Mapping[tuple[str, int], Sequence[Thought]],
) -> dict[str, Any]:
    assert verdict is not None, "an answer always has a verdict"
    thoughts = looked[row["problem_id"], row["sample_index"]]
    within = [thought for thought in thoughts if thought.end_token <= row["budget_tokens"]]
    return {
        **{name: row[name] for name in tables.GRADES.schema.names if name in row},
        "difficulty": problems[row["problem_id"]].difficulty,
        "verdict": verdict,
        "reward": verdict.reward,
        "num_segments": len(within),
        "num_repeats": sum(thought.is_repeat for thought in within),
        "num_hits": sum(thought.is_hit for thought in within),
        "num_false_verdicts": sum(thought.is_false_verdict for thought in within),
    }


def grade(graded: pd.DataFrame, settings: params.Evaluate) -> dict[str, Any]:
    """Metrics of one difficulty's answers.

    Raises:
        BadInput: every verifier of the exam failed.
    """
    curve = success_curve(graded)
    if np.isnan(curve).all(axis=0).any():
        raise BadInput("exam: the verifier failed on every answer at some budget; see `verdict` in answers")
    budgets = np.sort(graded["budget_tokens"].unique())
    intervals = settings.num_resamples, settings.confidence, settings.seed
    longest = graded[graded["budget_tokens"] == budgets[-1]]
    num_segments = max(1, int(longest["num_segments"].sum()))
    by_budget = graded.groupby("budget_tokens")
    return {
        "success": {f"budget_{b}": _json(bootstrap(curve[:, i], *intervals)) for i, b in enumerate(budgets)},
        "normalized_regret": _json(bootstrap(normalized_regret(curve, budgets), *intervals)),
        "used_tokens": {f"budget_{b}": round(float(part["used_tokens"].mean()), 4) for b, part in by_budget},
        "forced_frac": {f"budget_{b}": round(float(part["is_forced"].mean()), 4) for b, part in by_budget},
        **{name: round(float(longest[column].sum()) / num_segments, 4) for name, column in HABITS.items()},
        "num_problems": int(graded["problem_id"].nunique()),
        "num_unverified": int(graded["reward"].isna().sum()),
    }


def curve_points(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The success curves as points to plot."""
    return [
        {"difficulty": level, "budget_tokens": int(budget.removeprefix("budget_")), **estimate}
        for level, metrics in report.items()
        for budget, estimate in metrics["success"].items()
    ]


def success_curve(graded: pd.DataFrame) -> np.ndarray:
    """Mean reward by [problem, budget], problems sorted by id, budgets rising."""
    problems, problem = np.unique(graded["problem_id"], return_inverse=True)
    budgets = np.sort(graded["budget_tokens"].unique())
    columns = []
    for budget in budgets:
        at = (graded["budget_tokens"] == budget).to_numpy()
        columns.append(problem_means(graded["reward"].to_numpy(float)[at], problem[at], len(problems)))
    return np.stack(columns, axis=1)


def _json(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, 4) for name, value in estimate._asdict().items()}


if __name__ == "__main__":
    command(main)
