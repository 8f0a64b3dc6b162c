"""Check frames: which rewards may be, and what is counted over all rows."""

from pathlib import Path

import pyarrow as pa
import pytest

from stages.contracts.tables.all import TABLES
from stages.contracts.tables.scores import SCORES
from stages.validate.checks import group_sizes, shared_seeds
from tests.validate.gate import framed
from tests.validate.sound_round import (
    NAMES,
    Rows,
)


@pytest.mark.parametrize(
    ("score", "reward", "is_sound"), [(0.8, 1.0, True), (0.8, 0.0, False), (None, 1.0, False)]
)
def test_a_judges_rewards_are_its_decisions(
    score: float | None, reward: float, is_sound: bool, workplace: Path, sound: Rows
) -> None:
    rows = [{**score, "judge_score": 0.2, "reward": 0.0} for score in sound["scores"]]
    rows[0] |= {"judge_score": score, "reward": reward}
    data = {name: pa.Table.from_pylist(sound[name], schema=TABLES[name].schema) for name in NAMES}
    data["scores"] = pa.Table.from_pylist(rows, schema=SCORES.schema)
    residual = framed(data, workplace, decision=0.5)["scores"]["reward_residual"]
    assert (residual == 0).tolist() == [is_sound, *[True] * (len(rows) - 1)]


@pytest.mark.parametrize(
    ("verdict", "reward", "is_sound"),
    [
        ("incorrect", 0.0, True),
        ("incorrect", 0.25, True),
        ("incorrect", 1.0, False),
        ("incorrect", -0.25, False),
        ("incorrect", None, False),
        ("unparsable", 0.25, False),
        ("correct", 0.25, False),
        ("timeout", 0.25, False),
    ],
)
def test_a_part_of_the_reward_goes_to_the_verdicts_that_may_have_it(
    verdict: str, reward: float | None, is_sound: bool, workplace: Path, sound: Rows
) -> None:
    rows = [dict(score) for score in sound["scores"]]
    rows[0] |= {"verdict": verdict, "reward": reward}
    data = {name: pa.Table.from_pylist(sound[name], schema=TABLES[name].schema) for name in NAMES}
    data["scores"] = pa.Table.from_pylist(rows, schema=SCORES.schema)
    residual = framed(data, workplace, partial_credit=True)["scores"]["reward_residual"]
    assert (residual == 0).tolist() == [is_sound, *[True] * (len(rows) - 1)]
    if reward == 0.25:
        assert framed(data, workplace)["scores"]["reward_residual"][0] != 0


def test_rollouts_of_a_problem_are_counted_over_all_batches() -> None:
    batches = [pa.table({"problem_id": names}) for names in (["p", "q", "p"], ["p"])]
    assert group_sizes(batches) == {"p": 3, "q": 1}
    assert group_sizes([]) == {}


def test_only_rollouts_with_a_seed_of_others_are_kept() -> None:
    batches = [
        pa.table({"rollout_id": names, "seed": seeds})
        for names, seeds in ((["a", "b"], [1, 2]), (["c", "d"], [2, 3]))
    ]
    shared = shared_seeds(lambda: batches)
    assert shared.to_dict("list") == {"rollout_id": ["b", "c"], "seed": [2, 2]}
    assert shared_seeds(lambda: batches[:1]).empty
