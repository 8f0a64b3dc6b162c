"""The rewards that a critic learns from."""

from pathlib import Path

from stages.contracts.storage.writing import write_table
from stages.contracts.tables.scores import SCORES
from stages.probe.critic import read_rewards


def test_a_lost_reward_is_not_a_zero(tmp_path: Path) -> None:
    rows = [
        {"rollout_id": "a", "verdict": "correct", "reward": 1.0},
        {"rollout_id": "b", "verdict": "timeout", "reward": None},
    ]
    rows = [{**row, "judge_score": None, "answer": "1"} for row in rows]
    write_table(tmp_path / "scores.parquet", SCORES, rows)
    rewards = read_rewards(tmp_path / "scores.parquet")
    assert rewards["a"] == 1.0
    assert rewards["b"] != rewards["b"]
