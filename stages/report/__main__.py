"""Show what was learnt: one self-contained HTML page.

Reads   problems; the metrics of each exam, the comparisons and the summary; of each round its
        rollouts, scores, segments, gains and metrics; of each init its metrics; the tokenizer of
        the policy whose rollouts are shown; all of params.yaml.
Writes  page, HTML with inline SVG that loads nothing and runs no script.
Method  Means over problems with their intervals are `stages.pure.estimates`. How it looks:
        `stages.contracts.report`.

Example: python -m stages.report --problems data/problems.parquet --metrics-dir data/metrics \
         --rounds-dir data/rounds --policies-dir data/policies \
         --comparisons data/report/comparisons.json --summary data/report/summary.json \
         --page data/report/report.html
"""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.exam import Exam
from stages.contracts.params.whole import Params, load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.verdict import Verdict
from stages.figures.looks import looks
from stages.pure.estimates import bootstrap
from stages.pure.judgement import DECISION
from stages.report import panels
from stages.report.excerpts import Excerpt, choose, excerpts
from stages.report.measures import MEASURES, Course, Point
from stages.report.page import fill
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts, atomic, read_json

JUDGED = [verdict.value for verdict in Verdict if verdict.reward is not None]
UPDATE_MEASURES = {
    "first_entropy_nats": ("entropy_nats", "first"),
    "last_entropy_nats": ("entropy_nats", "last"),
    "kl_nats": ("mean_kl_nats",),
    "max_logprob_difference_nats": ("max_logprob_difference_nats",),
}


SHOWN = (ROLLOUTS, SCORES, SEGMENTS, GAINS)


class RoundTables(NamedTuple):
    """The tables of one round that the page shows."""

    rollouts: pd.DataFrame
    scores: pd.DataFrame
    segments: pd.DataFrame
    gains: pd.DataFrame


def main(
    problems: Path,
    metrics_dir: Path,
    rounds_dir: Path,
    policies_dir: Path,
    page: Path,
    comparisons: Path,
    summary: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Write the page."""
    everything = load(params_file)
    facts = RunFacts("report")

    with facts.phase("measuring"):
        exam_metrics = read_exams(metrics_dir / "exams", everything)
        sft_metrics = {
            init: read_json(metrics_dir / "sft" / f"{init}.json") for init in everything.inits
        }
        courses = read_courses(rounds_dir, metrics_dir / "updates", everything)
    with facts.phase("drawing"):
        content = {
            "settings": everything,
            "looks": looks(everything.inits, everything.rounds),
            "levels": panels.levels(exam_metrics),
            "exams": exam_metrics,
            "smallest_share": panels.SMALLEST_SHARE,
            "findings": read_json(summary)["findings"],
            "compared": read_comparisons(comparisons, everything),
            "courses": courses,
            "measures": MEASURES,
            "at_temperatures": panels.at_temperatures(exam_metrics, "all"),
            "budget_panels": panels.budget_panels(everything, exam_metrics),
            "temperature_panels": panels.temperature_panels(everything, exam_metrics),
            "skill_panels": panels.skill_panels(everything, exam_metrics),
            "pair_levels": panels.PAIR_LEVELS,
            "chains": list(panels.information_chains(everything, courses)),
            "training_panels": panels.training_panels(everything, courses, exam_metrics),
            "sft_panel": panels.sft_panel(everything, sft_metrics),
            "shown_round": shown_round(everything),
            "excerpts": read_excerpts(problems, rounds_dir, policies_dir, everything),
        }
        text = fill(**content)

    with atomic(page) as beside:
        beside.write_text(text, encoding="utf-8")
    facts.count(num_policies=len(exam_metrics), num_rounds=len(courses), num_characters=len(text))
    facts.write(page)


def read_exams(folder: Path, settings: Params) -> dict[str, dict[str, Any]]:
    """Metrics of each exam, by policy."""
    return {p: read_exam(folder / f"{p}.json", settings.exam) for p in settings.exams}


def read_courses(rounds_dir: Path, updates: Path, settings: Params) -> dict[str, Course]:
    """What each round measured, by its name."""
    courses = {}
    for name in settings.rounds:
        courses[name] = read_course(rounds_dir / name, updates / f"{name}.json", settings.evaluate)
    return courses


def read_exam(path: Path, settings: Exam) -> dict[str, Any]:
    """Metrics of one exam.

    Raises:
        BadInput: they are not of the budgets or the temperatures that params.yaml names.
    """
    metrics = read_json(path)
    budgets = {f"budget_{budget}" for budget in settings.budgets_tokens}
    temperatures = {*map(str, settings.temperatures)}
    for level in panels.levels({"": metrics}):
        of_level = metrics[level]
        for key, present, wanted in (
            ("budgets_tokens", of_level["success"], budgets),
            ("temperatures", of_level.get("success_by_temperature", ()), temperatures),
        ):
            if {*present} != wanted:
                raise BadInput(
                    f"{path}, {level}: not of exam.{key} {getattr(settings, key)}; run `dvc repro`"
                )
    return metrics


def read_comparisons(path: Path, settings: Params) -> dict[str, Any]:
    """The comparisons, in the order of `exams`, which JSON does not keep.

    Raises:
        BadInput: they are not of the policies that params.yaml names.
    """
    comparisons = read_json(path)
    names = [f"{later}_minus_{earlier}" for earlier, later in combinations(settings.exams, 2)]
    if missing := [name for name in names if name not in comparisons]:
        raise BadInput(f"{path} has no {missing[0]}; delete it and run `dvc repro`")
    return {name: comparisons[name] for name in [*names, *sorted(set(comparisons) - {*names})]}


def read_course(folder: Path, update: Path, settings: Evaluate) -> Course:
    """What one round measured."""
    data = read_round(folder)
    metrics = read_json(update)
    problem_of = data.rollouts.set_index("rollout_id")["problem_id"]
    gains = data.gains.assign(problem_id=data.gains["rollout_id"].map(problem_of))
    before, after = (
        gains.rename(columns={f"success_{side}": "success"}) for side in ("before", "after")
    )
    is_after_probed = ~after["is_carried"] | (after["num_judged_after"] > 0)
    boundaries = pd.concat(
        [
            before[before["segment_index"] == 0],
            after[is_after_probed].assign(segment_index=after["segment_index"] + 1),
        ]
    )
    return Course(
        measures={
            **measure(data),
            **{name: _field(metrics, update, *keys) for name, keys in UPDATE_MEASURES.items()},
        },
        tokens=dict(_field(metrics, update, "tokens")),
        num_completion_tokens=int(data.rollouts["completion_tokens"].map(len).sum()),
        success=points(boundaries, "success", settings),
        progress=points(gains[~gains["is_carried"]], "progress", settings),
    )


def read_round(folder: Path) -> RoundTables:
    """The tables of a round, checked."""
    frames = (read_table(folder / f"{table.name}.parquet", table).to_pandas() for table in SHOWN)
    return RoundTables(*frames)


def measure(data: RoundTables) -> dict[str, float | None]:
    """Means and shares over a round's rollouts; None where there is nothing to take them of."""
    rollouts, gains = data.rollouts, data.gains
    measured = gains[~gains["is_carried"]]
    rewards = data.scores.set_index("rollout_id")["reward"].astype(float)
    num_outcomes = rewards.groupby(rollouts.set_index("rollout_id")["problem_id"]).nunique()
    thinking = data.segments[data.segments["kind"] != "answer"]
    claims = thinking[thinking["self_verdict"].notna() & thinking["attempt_verdict"].isin(JUDGED)]
    is_claimed, is_hit = (
        claims["self_verdict"].astype(bool),
        claims["attempt_verdict"] == Verdict.CORRECT,
    )
    judged = data.scores[data.scores["judge_score"].notna()]
    tokens = rollouts.set_index("rollout_id")["completion_tokens"]
    spans = thinking[["rollout_id", "start_token", "end_token"]].itertuples(index=False)
    texts = [tokens[rollout_id][start:end].tobytes() for rollout_id, start, end in spans]
    return {
        "reward": _mean(rewards),
        "thinking_tokens": _mean(rollouts["num_thinking_tokens"]),
        "one_outcome_frac": _mean(num_outcomes <= 1),
        "forced_frac": _mean(rollouts["finish_reason"] == "forced"),
        "unended_frac": _mean(rollouts["finish_reason"] == "length"),
        "repeat_frac": _mean(thinking.assign(text=texts).duplicated(["rollout_id", "text"])),
        "false_positive_frac": _mean(is_claimed[~is_hit]),
        "false_negative_frac": _mean(~is_claimed[is_hit]),
        "judge_agreement_frac": _mean(
            (judged["judge_score"] >= DECISION) == (judged["verdict"] == Verdict.CORRECT)
        ),
        "noise_frac": noise_frac(measured["progress"], measured["stderr"]),
    }


def noise_frac(progress: pd.Series, stderr: pd.Series) -> float | None:
    """Most that is the estimator's of the variance of progress: mean of stderr² / variance.

    None without variance.
    """
    variance = float(progress.astype(float).var())
    return float((stderr.astype(float) ** 2).mean()) / variance if variance > 0 else None


def points(rows: pd.DataFrame, name: str, settings: Evaluate) -> list[Point]:
    """Mean over problems of a column by `segment_index`, each weighing the same, without nulls."""
    known = rows.astype({name: float}).dropna(subset=name)
    asked = settings.num_resamples, settings.confidence, settings.seed
    return [
        Point(
            index,
            *bootstrap(part.groupby("problem_id")[name].mean().to_numpy(), *asked),
            num_rollouts=len(part),
        )
        for index, part in known.groupby("segment_index")
    ]


def shown_round(settings: Params) -> str | None:
    """The round whose rollouts are shown: the last that learns from gains, else the last."""
    informed = [
        name
        for name, entry in settings.rounds.items()
        if settings.recipes[entry.recipe].update.reads_gains
    ]
    return next(reversed(informed or [*settings.rounds]), None)


def read_excerpts(
    problems: Path, rounds_dir: Path, policies_dir: Path, settings: Params
) -> list[Excerpt]:
    """The rollouts to show, none without a round."""
    name = shown_round(settings)
    if name is None:
        return []
    data = read_round(rounds_dir / name)
    problem_rows = {row["problem_id"]: row for row in read_table(problems, PROBLEMS).to_pylist()}
    problem_of = dict(zip(data.rollouts["rollout_id"], data.rollouts["problem_id"], strict=True))
    chosen = choose(data.gains, problem_of, settings.report.num_rollouts)
    renderer = Renderer.of_policy(policies_dir / settings.rounds[name].parent)
    return list(excerpts(chosen, *data, problem_rows, renderer))


def _field(metrics: Mapping[str, Any], path: Path, *keys: str) -> Any:
    value: Any = metrics
    for key in keys:
        if key not in value:
            raise BadInput(f"{path} has no {'.'.join(keys)}; delete it and run `dvc repro`")
        value = value[key]
    return value


def _mean(values: pd.Series) -> float | None:
    return None if values.isna().all() else float(values.mean())


if __name__ == "__main__":
    command(main, writes=("page",))
