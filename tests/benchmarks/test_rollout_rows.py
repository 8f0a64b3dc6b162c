"""Rollouts as benchmarks plan, count and train on them."""

from pathlib import Path

from benchmarks.rollout_rows import example_of, is_sampled, num_sampled, plan_rows
from fixtures.rows import row
from stages.contracts.params.whole import load
from stages.contracts.tables.rollouts import ROLLOUTS

SETTINGS = load(Path("params.yaml")).recipes["information"].rollout


def test_a_group_is_planned_for_each_prompt() -> None:
    planned = list(plan_rows("b", [[1], [2, 3]], SETTINGS.model_copy(update={"group_size": 2})))
    assert [made["rollout_id"] for made in planned] == ["b/0/0", "b/0/1", "b/1/0", "b/1/1"]
    assert [made["seed"] for made in planned] == [0, 1, 2, 3]
    assert planned[2]["prompt_tokens"] == [2, 3]


def test_forced_tokens_are_neither_counted_nor_trained_on() -> None:
    made = row(ROLLOUTS, completion_tokens=[7, 8, 9], cue=range(1, 2))
    assert is_sampled(made).tolist() == [True, False, True]
    assert num_sampled([made, row(ROLLOUTS)]) == 2 + 4
    example = example_of(made, 0.5)
    assert example.is_target.tolist() == [True, False, True]
    assert example.advantages.tolist() == [0.5] * 3
