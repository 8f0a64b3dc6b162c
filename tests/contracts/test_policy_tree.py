"""The tree of policies, by hand: two chains, and a branch of one."""

from typing import Any

import pytest

from stages.contracts.params.base import Section
from stages.contracts.params.round import Round
from stages.contracts.policy_tree import (
    ancestors,
    branch,
    chains,
    recipe_names,
    replicates,
)


class Start(Section):
    """An init with a seed and something else."""

    seed: int
    shape: str


def entry(parent: str, recipe: str = "a", **changes: Any) -> Round:
    return Round(
        **{
            "parent": parent,
            "reference": "r0",
            "recipe": recipe,
            "judge": "exact",
            "seed": 1,
            **changes,
        }
    )


ROUNDS = {
    "i1": entry("r0"),
    "i2": entry("i1"),
    "o1": entry("r0", "b"),
    "b1": entry("i1", "b"),
}


def test_a_policy_has_one_line_to_its_init() -> None:
    assert ancestors(ROUNDS, "i2") == ["i2", "i1", "r0"]
    assert ancestors(ROUNDS, "r0") == ["r0"]


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rounds\.a\.parent: circular: a -> b -> a"):
        ancestors({"a": entry("b"), "b": entry("a")}, "a")


def test_chains_end_where_no_round_starts() -> None:
    assert chains(ROUNDS) == [["i1", "i2"], ["o1"], ["i1", "b1"]]
    assert chains({}) == []


def test_recipes_of_a_chain_stand_once() -> None:
    assert recipe_names(ROUNDS, ["i1", "i2", "b1"]) == ["a", "b"]


def test_branches_follow_the_tree() -> None:
    root = branch(ROUNDS, "r0")
    assert root.policies == ["r0"]
    assert [(below.policies, len(below.branches)) for below in root.branches] == [
        (["i1"], 2),
        (["o1"], 0),
    ]
    assert branch({"i1": entry("r0"), "i2": entry("i1")}, "r0").policies == ["r0", "i1", "i2"]


def test_policies_that_differ_in_seeds_only_are_replicates() -> None:
    inits = {
        "r0": Start(seed=1, shape="s"),
        "r1": Start(seed=2, shape="s"),
        "x": Start(seed=1, shape="t"),
    }
    rounds = {
        **ROUNDS,
        "i3": entry("i1", seed=9),
        "o2": entry("r1", "b"),
        "o3": entry("x", "b"),
        "g1": entry("r0", "b", judge="g"),
    }
    examined = ["r0", "i2", "i3", "o1", "o2", "o3", "r1", "g1"]
    assert replicates(inits, rounds, examined) == [
        ["r0", "r1"],
        ["i2", "i3"],
        ["o1", "o2"],
        ["o3"],
        ["g1"],
    ]
