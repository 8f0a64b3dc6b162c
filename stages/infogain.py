"""Estimate how much each segment of a rollout raised the chance of success.

Reads   probes, one row per boundary; rollouts and problems, to judge sampled answers; params.yaml `task`.
Writes  gains, one row per thinking segment: success before and after (fractions), progress, information gain in
        nats, standard error of progress.
Method  Success J at a boundary is the probability of the set of correct answers, or the share of correct ones among
        the sampled; progress is J after minus J before (`stages.pure.information`).
Limits  A row is null where every probe of one of its boundaries lost its verifier.

Example: python -m stages.infogain --problems data/problems.parquet --rollouts data/rounds/i1/rollouts.parquet \
         --probes data/rounds/i1/probes.parquet --gains data/rounds/i1/gains.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from stages.contracts import params, tables
from stages.contracts.errors import command
from stages.contracts.facts import RunFacts
from stages.contracts.task_params import TaskParams
from stages.pure import information
from stages.tasks.rows import read_problems
from stages.verifiers.isolated import Request, judge


def main(problems: Path, rollouts: Path, probes: Path, gains: Path, params_file: Path = Path("params.yaml")) -> None:
    """Estimate the gains of one round."""
    settings = params.load(params_file).task
    facts = RunFacts("infogain")
    rows = tables.read(probes, tables.PROBES).to_pylist()

    with facts.phase("estimating"):
        sampled = [row for row in rows if row["estimator"] == "forced_answer"]
        rewards = judge_answers(settings, sampled, problems, rollouts) if sampled else {}
        found = [
            gain
            for rollout_id, boundaries in groupby(rows, key=itemgetter("rollout_id"))
            for gain in gain_rows(rollout_id, list(boundaries), rewards)
        ]

    tables.write(gains, tables.GAINS, found)
    facts.count(num_segments=len(found))
    facts.write(gains)


def judge_answers(
    settings: TaskParams, rows: Sequence[Mapping[str, Any]], problems: Path, rollouts: Path
) -> dict[tuple[str, int], np.ndarray]:
    """Reward of each sampled answer by (rollout_id, boundary_index); NaN where the verifier failed."""
    by_id = {problem.problem_id: problem for problem in read_problems(problems)}
    asked = tables.read(rollouts, tables.ROLLOUTS, ["rollout_id", "problem_id"]).to_pydict()
    problem_of = {r: by_id[p] for r, p in zip(asked["rollout_id"], asked["problem_id"], strict=True)}
    requests = [Request(problem_of[row["rollout_id"]], text, False) for row in rows for text in row["answers"]]
    verdicts = iter(judge(settings, requests))
    rewards = {}
    for row in rows:
        judged = [next(verdicts) for _ in row["answers"]]
        values = [np.nan if verdict is None or verdict.reward is None else verdict.reward for verdict in judged]
        rewards[row["rollout_id"], row["boundary_index"]] = np.array(values)
    return rewards


def gain_rows(
    rollout_id: str, boundaries: Sequence[Mapping[str, Any]], rewards: Mapping[tuple[str, int], np.ndarray]
) -> Iterator[dict[str, Any]]:
    """Gains of one rollout's segments from its boundaries, in order."""
    estimator = boundaries[0]["estimator"]
    num_judged = np.array([row["num_probes"] for row in boundaries])
    if estimator == "set_likelihood":
        success = np.array([information.set_success(np.array(row["answer_logprobs"])) for row in boundaries])
        nats = information.information_gain(np.array([row["gold_logprob_nats"] for row in boundaries]))
        stderr = np.zeros(len(boundaries) - 1)
    else:
        judged = [rewards[rollout_id, row["boundary_index"]] for row in boundaries]
        success = np.array([information.sampled_success(values) for values in judged])
        nats = np.full(len(boundaries) - 1, np.nan)
        num_judged = np.array([np.count_nonzero(~np.isnan(values)) for values in judged])
        stderr = information.progress_stderr(success, num_judged)
    for index, progress in enumerate(information.progress(success)):
        yield {
            "rollout_id": rollout_id,
            "segment_index": index,
            "num_judged_before": int(num_judged[index]),
            "num_judged_after": int(num_judged[index + 1]),
            "success_before": _nullable(success[index]),
            "success_after": _nullable(success[index + 1]),
            "progress": _nullable(progress),
            "info_gain_nats": _nullable(nats[index]),
            "stderr": _nullable(stderr[index]),
            "estimator": estimator,
        }


def _nullable(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


if __name__ == "__main__":
    command(main)
