"""What is compared of an exam: its temperatures, and who is in a band of failure."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.compare.rewards import ExamRewards, levels, read_rewards
from stages.contracts.tables.grades import GRADES
from stages.running.errors import BadInput
from tests.world import BUDGETS, REWARDS, TEMPERATURES, World, make_world, write_exam


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


def test_held_out_answers_are_compared_and_reserved_ones_choose(world: World) -> None:
    write_exam(world, "r0", REWARDS["r0"], colder=REWARDS["i2"], best=0.35)
    rewards = read_rewards(world.data / "exams", "r0", TEMPERATURES, 8)
    assert [*rewards.at] == TEMPERATURES
    every = pd.Series(True, rewards.axes[0])
    assert rewards.curve(1.0, every)[8].to_dict() == {"p0": 0.0, "p1": 0.5, "p2": 0.0, "p3": 0.0}
    assert rewards.curve(0.35, every)[8].to_dict() == {"p0": 1.0, "p1": 1.0, "p2": 1.0, "p3": 0.0}
    assert {*rewards.reserved["problem_id"]} == {"v0", "v1"}
    assert {*rewards.reserved["budget_tokens"]} == {8}
    assert rewards.best_temperature("all") == rewards.best_temperature("difficulty_10") == 0.35
    first = read_rewards(world.data / "exams", "r0", TEMPERATURES[::-1], 8)
    assert first.is_like(rewards)


def test_a_temperature_without_answers_is_named(world: World) -> None:
    world.edit_params(lambda raw: raw["exam"]["temperatures"].append(2.0))
    with pytest.raises(BadInput, match=r"exam r0: grades have no held-out answers at temp.* 2\.0"):
        world.compare()


def test_a_policy_does_not_gain_on_what_the_init_happened_to_fail() -> None:
    """Two policies toss coins: banded by its own samples, r0 seems beaten where it failed."""
    rng = np.random.default_rng(0)
    tossed = {
        policy: rng.integers(2, size=(300, 2, 1)).repeat(len(BUDGETS), axis=2).astype(float)
        for policy in ("r0", "i2")
    }
    names = [f"p{number:03d}" for number in range(300)]
    frames = {}
    for policy, rewards in tossed.items():
        index = pd.MultiIndex.from_product([names, range(2)], names=["problem_id", "sample_index"])
        frames[policy] = pd.DataFrame(
            rewards.reshape(600, -1), index, pd.Index(BUDGETS, name="budget_tokens")
        )
    difficulties, none = pd.Series(3, names), pd.DataFrame({name: [] for name in GRADES.key})
    exams = {
        name: ExamRewards({1.0: frame.sort_index()}, difficulties, none.assign(reward=[]))
        for name, frame in frames.items()
    }
    masks = levels(exams, ["r0"])
    gain = (frames["i2"] - frames["r0"]).sort_index()[8]
    assert abs(gain[masks["failure_high"]].mean()) < 0.12
    is_failed = (1 - frames["r0"].sort_index()[8]).groupby("problem_id").transform("mean") == 1
    assert gain[is_failed].mean() > 0.3
