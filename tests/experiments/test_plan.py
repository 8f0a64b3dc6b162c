"""The chains of a profile: their order, their seeds, and params.yaml files that stages accept."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from experiments.plan import VARIANT_KEYS, Chain, Profile, chains, load_profile, overlay
from fixtures.checkouts import ROOT
from stages.contracts.params.recipes.objective import Outcome
from stages.contracts.params.whole import Params
from stages.contracts.policy_tree import ancestors
from stages.running.errors import BadInput
from tests.experiments.chains import PARAMS, PROFILE

BASE = yaml.safe_load(PARAMS.read_text())
TREES: st.SearchStrategy[Any] = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def planned(**changes: Any) -> list[Chain]:
    return list(chains(Profile.model_validate({**PROFILE, **changes}), BASE))


def test_half_of_an_experiment_compares_all_arms() -> None:
    """Arms are innermost, then inits: what is done first is every arm on one pair of seeds."""
    names = [chain.name for chain in planned(round_seeds=[5, 6])]
    assert names[:4] == [
        f"{arm}-init{seed}-seed5" for seed in (1, 2) for arm in ("outcome", "information")
    ]
    assert len(set(names)) == len(names) == 8


def test_arms_of_one_pair_of_seeds_differ_by_their_recipe_alone() -> None:
    outcome, information, *_ = (Params.model_validate(chain.params) for chain in planned())
    assert outcome.inits == information.inits
    assert outcome.inits["r0"].seed == 1
    one, other = outcome.recipes["outcome"], information.recipes["information"]
    assert one.update.objective == Outcome(name="outcome")
    assert one == other.model_copy(
        update={"update": other.update.model_copy(update={"objective": one.update.objective})}
    )
    assert [entry.seed for entry in outcome.rounds.values()] == [
        entry.seed for entry in information.rounds.values()
    ]


def test_rounds_are_one_line_from_the_init_and_no_seed_comes_twice() -> None:
    planned_chains = planned(round_seeds=[5, 6])
    settings = Params.model_validate(planned_chains[0].params)
    assert ancestors(settings.rounds, "c4") == ["c4", "c3", "c2", "c1", "r0"]
    seeds = {
        chain.name: tuple(entry["seed"] for entry in chain.params["rounds"].values())
        for chain in planned_chains
        if chain.arm == "outcome"
    }
    assert len({seed for of_chain in seeds.values() for seed in of_chain}) == 4 * len(seeds)


@pytest.mark.parametrize(
    ("num_rounds", "apart", "examined"),
    [
        (4, 2, ["r0", "c2", "c4"]),
        (5, 2, ["r0", "c2", "c4"]),
        (3, 1, ["r0", "c1", "c2", "c3"]),
        (3, 3, ["r0", "c3"]),
    ],
)
def test_exams_are_of_the_init_and_every_kth_round(
    num_rounds: int, apart: int, examined: list[str]
) -> None:
    chain = planned(num_rounds=num_rounds, rounds_between_exams=apart)[0]
    assert list(chain.params["exams"]) == examined


def test_what_holds_everywhere_is_laid_over_params() -> None:
    for chain in planned():
        settings = Params.model_validate(chain.params)
        assert settings.exam.budgets_tokens == [0, 8, 16]
        assert settings.exam.num_samples == BASE["exam"]["num_samples"]


def test_an_arm_that_no_stage_would_accept_is_named() -> None:
    with pytest.raises(BadInput, match="arm odd: 1 validation error"):
        planned(arms={"odd": {"update": {"objective": {"credit_discount": None}}}})


def test_overlay_by_hand() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert overlay(below, {"a": {"b": None, "c": [3]}, "e": {"f": 5}}) == {
        "a": {"c": [3]},
        "d": 4,
        "e": {"f": 5},
    }
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 4}


def test_another_variant_replaces_all_of_the_one_below() -> None:
    below = {"objective": {"name": "information", "alpha": 1.0}, "epochs": 2}
    assert {"name", "estimator", "cut", "strategy"} <= VARIANT_KEYS
    assert overlay(below, {"objective": {"name": "outcome"}}) == {
        "objective": {"name": "outcome"},
        "epochs": 2,
    }
    for above in ({"alpha": 0.5}, {"name": "information", "alpha": 0.5}):
        laid = overlay(below, {"objective": above})
        assert laid["objective"] == {"name": "information", "alpha": 0.5}


@given(TREES, TREES)
def test_what_lies_on_top_stays_and_laying_it_twice_changes_nothing(below: Any, above: Any) -> None:
    once = overlay(below, above)
    assert overlay(once, above) == once
    assert overlay(above, above) == above


@pytest.mark.parametrize(
    "profile", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_profile_kept_is_one_that_runs(profile: Path) -> None:
    settings = load_profile(profile)
    assert len(list(chains(settings, BASE))) == len(settings.arms) * len(settings.init_seeds) * len(
        settings.round_seeds
    )


def test_profiles_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no profile"):
        load_profile(tmp_path / "none.yaml")
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump({**PROFILE, "arms": {}}))
    with pytest.raises(BadInput, match=r"odd\.yaml is not a profile"):
        load_profile(path)
    path.write_text("arms: [")
    with pytest.raises(BadInput, match="is not a profile"):
        load_profile(path)
