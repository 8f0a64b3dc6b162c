"""Rows of one small round by hand, as tables of older and newer commits have them.

What else rows must agree in is tried on a whole tree in `test_tampering`.
"""

import json

import pyarrow as pa
import pytest

from lineage.proof.rowchecks import check_rows
from tests.lineage.proof.byhand import evidence_of, graph_of, step

ROUND = "data/rounds/i1"
PROBLEMS, POLICY = "data/problems.parquet", "data/policies/r0"
ROLLOUTS, LEDGER = f"{ROUND}/rollouts.parquet", f"{ROUND}/ledger.parquet"
SCORES, METRICS = f"{ROUND}/scores.parquet", "data/metrics/updates/i1.json"
IDS = ["i1/a/0", "i1/b/0"]
SPAN = {
    "forced_start": pa.array([1, 0], pa.int32()),
    "forced_end": pa.array([3, 0], pa.int32()),
}
ORIGIN = {"token_origin": pa.array([[0, 1, 1, 0], [0, 0]], pa.list_(pa.int8()))}
TOOL = {"token_origin": pa.array([[0, 1, 2, 0], [0, 0]], pa.list_(pa.int8()))}
TOGETHER = {"num_forced_tokens": pa.array([2, 0], pa.int32())}


def apart(cue: int, environment: int) -> dict[str, pa.Array]:
    return {
        "num_cue_tokens": pa.array([cue, 0], pa.int32()),
        "num_environment_tokens": pa.array([environment, 0], pa.int32()),
    }


def findings(
    forced: dict, given: dict, tokens: dict[str, int], scores: dict | None = None
) -> list[str]:
    """What is wrong with a round of two rollouts, of four tokens and of two."""
    rollouts = {
        "rollout_id": IDS,
        "problem_id": ["a", "b"],
        "sample_index": pa.array([0, 0], pa.int32()),
        "policy_id": ["r0", "r0"],
        "completion_tokens": pa.array([[1, 2, 3, 4], [5, 6]], pa.list_(pa.int32())),
        **forced,
    }
    ledger = {
        "rollout_id": IDS,
        "problem_id": ["a", "b"],
        "status": ["trained", "filtered_group"],
        "num_trained_tokens": pa.array([2, 0], pa.int32()),
        "mean_advantage": pa.array([0.5, 0.0], pa.float32()),
        "num_untrained_tokens": pa.array([0, 2], pa.int32()),
        **given,
    }
    scored = {
        "rollout_id": IDS,
        "verdict": ["correct", "incorrect"],
        "reward": pa.array([1.0, 0.0], pa.float32()),
        **(scores or {}),
    }
    tables = {
        PROBLEMS: {"problem_id": ["a", "b"], "split": ["train", "train"]},
        ROLLOUTS: rollouts,
        SCORES: scored,
        LEDGER: ledger,
    }
    steps = (
        step("prepare", {}, {"problems": PROBLEMS}),
        step("sft@r0", {"problems": PROBLEMS}, {"policy": POLICY}),
        step("rollout@i1", {"policy": POLICY, "problems": PROBLEMS}, {"rollouts": ROLLOUTS}),
        step("score@i1", {"rollouts": ROLLOUTS}, {"scores": SCORES}),
        step("update@i1", {"rollouts": ROLLOUTS}, {"ledger": LEDGER, "metrics": METRICS}),
    )
    metrics = {METRICS: json.dumps({"tokens": tokens}).encode()}
    evidence = evidence_of({path: pa.table(rows) for path, rows in tables.items()}, metrics)
    wrong, _ = check_rows(graph_of(*steps), list(steps), evidence)
    return [f"{finding.subject}: {finding.message}" for finding in wrong]


COUNTS = {"trained": 2, "filtered_group": 2, "forced": 2}
COUNTED_APART = {"trained": 2, "filtered_group": 2, "cue": 1, "environment": 1}


@pytest.mark.parametrize(
    ("forced", "given", "tokens"),
    [
        (SPAN, TOGETHER, COUNTS),
        (ORIGIN, TOGETHER, COUNTS),
        (ORIGIN, apart(2, 0), COUNTS),
        (TOOL, apart(1, 1), COUNTS),
        (TOOL, apart(1, 1), COUNTED_APART),
    ],
    ids=["span", "origin", "origin and ledger", "tool", "metrics apart"],
)
def test_a_sound_round_of_any_commit(forced: dict, given: dict, tokens: dict[str, int]) -> None:
    assert findings(forced, given, tokens) == []


@pytest.mark.parametrize(
    ("forced", "given"),
    [(SPAN, TOGETHER), (ORIGIN, apart(2, 0))],
    ids=["span", "origin"],
)
def test_forced_tokens_that_the_ledger_does_not_have(forced: dict, given: dict) -> None:
    name = next(iter(given))
    less = {**given, name: pa.array([1, 1], pa.int32())}
    assert findings(forced, less, COUNTS) == [
        "update@i1: 2 ledger rows have more or fewer tokens than their rollouts; the first i1/a/0",
        "update@i1: 2 ledger rows have more or fewer forced tokens than their rollouts; "
        "the first i1/a/0",
    ]


def test_tokens_that_metrics_count_otherwise() -> None:
    assert findings(TOOL, apart(1, 1), COUNTED_APART | {"cue": 2}) == [
        "update@i1: its metrics count 2 cue tokens, its ledger 1"
    ]


def test_a_judge_s_scores_are_not_held_to_verdicts() -> None:
    rewards = pa.array([0.0, 1.0], pa.float32())
    judged = {"reward": rewards, "judge_score": pa.array([0.2, 0.9], pa.float32())}
    assert findings(SPAN, TOGETHER, COUNTS, judged) == []
    assert findings(SPAN, TOGETHER, COUNTS, {"reward": rewards}) == [
        "score@i1: 2 rewards are not those of their verdicts; the first i1/a/0"
    ]


def test_a_table_that_lacks_a_column_is_named() -> None:
    (finding,) = findings({}, TOGETHER, COUNTS)
    assert finding == (
        f"rollout@i1: its tables cannot be read: {ROLLOUTS} lacks 1 column(s), first "
        "num_unsampled_tokens; docs/tables.md has all"
    )
