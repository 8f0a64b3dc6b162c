"""Rows changed and every digest made anew: dvc.lock, cache and commit agree."""

import json
from pathlib import Path

import pyarrow.parquet as pq

from tests.lineage.forging import (
    PART,
    cover_up,
    edited,
)
from tests.lineage.proof.tampering.kinds import (
    ANSWERS,
    DEMOS,
    GAINS,
    GRADES,
    LEDGER,
    PROBES,
    PROBLEMS,
    ROLLOUTS,
    SCORES,
    SEGMENTS,
    UPDATED,
    kind,
)


@kind("rows")
def ledger_rewritten(tree: Path) -> None:
    edited(tree / LEDGER, "num_trained_tokens", lambda counts: [*counts[1:], counts[0]])
    cover_up(tree, LEDGER)


@kind("rows")
def ledger_status_rewritten(tree: Path) -> None:
    edited(tree / LEDGER, "status", lambda names: ["trained"] * len(names))
    cover_up(tree, LEDGER)


@kind("rows")
def rollouts_of_another_policy(tree: Path) -> None:
    edited(tree / ROLLOUTS, "policy_id", lambda names: ["r0", *names[1:]])
    cover_up(tree, ROLLOUTS)


@kind("rows")
def rollout_of_an_exam_problem(tree: Path) -> None:
    edited(tree / ROLLOUTS, "problem_id", lambda names: [*names[1:], heldout(tree)])
    cover_up(tree, ROLLOUTS)


@kind("rows")
def demonstration_of_an_exam_problem(tree: Path) -> None:
    edited(tree / DEMOS, "problem_id", lambda names: [*names[1:], heldout(tree)])
    cover_up(tree, DEMOS)


@kind("rows")
def reward_raised(tree: Path) -> None:
    edited(tree / SCORES, "reward", lambda rewards: [1.0] * len(rewards))
    cover_up(tree, SCORES)


@kind("rows")
def segment_stretched(tree: Path) -> None:
    edited(tree / SEGMENTS, "end_token", lambda ends: [ends[0] + 1000, *ends[1:]])
    cover_up(tree, SEGMENTS)


@kind("rows")
def probes_of_no_rollout(tree: Path) -> None:
    edited(tree / PROBES, "rollout_id", lambda names: ["s1/other/0", *names[1:]])
    cover_up(tree, PROBES)


@kind("rows")
def progress_raised(tree: Path) -> None:
    edited(tree / GAINS, "progress", lambda gains: [gains[0] + 0.5, *gains[1:]])
    cover_up(tree, GAINS)


@kind("rows")
def answers_of_an_exam_rewritten(tree: Path) -> None:
    edited(tree / ANSWERS, "answer", lambda answers: [*answers[1:], "1+1"])
    cover_up(tree, ANSWERS)


@kind("rows")
def grades_raised(tree: Path) -> None:
    edited(tree / GRADES, "reward", lambda rewards: [1.0] * len(rewards))
    edited(tree / GRADES, "verdict", lambda verdicts: ["correct"] * len(verdicts))
    cover_up(tree, GRADES)


@kind("rows")
def tokens_of_an_update_rewritten(tree: Path) -> None:
    metrics = json.loads((tree / UPDATED).read_text())
    metrics["tokens"]["trained"] += 1
    (tree / UPDATED).write_text(json.dumps(metrics))
    cover_up(tree, UPDATED)


@kind("rows")
def table_without_its_column(tree: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(tree / LEDGER).drop_columns(["status"])
    (tree / LEDGER / PART).unlink()
    pq.write_table(table, tree / LEDGER / PART)
    cover_up(tree, LEDGER)


def heldout(tree: Path) -> str:
    """A problem of the exam."""
    rows = pq.read_table(tree / PROBLEMS, columns=["problem_id", "split"]).to_pylist()
    return next(row["problem_id"] for row in rows if row["split"] == "heldout")
