"""What came of it: rows by hand, chains that fall, what is not measured yet, points to plot."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.running.errors import BadInput
from tests.world import SCORED, UPDATED, World, make_world, write_json


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def points(world: World, name: str) -> list[dict[str, Any]]:
    return json.loads((world.data / "report/points" / f"{name}.json").read_text()).get("points", [])


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def scored(world: World, name: str, **changes: Any) -> None:
    write_json(world.data / "metrics/summary/rounds" / f"{name}.json", {**SCORED, **changes})


def updated(world: World, name: str, **changes: Any) -> None:
    write_json(world.data / "metrics/summary/updates" / f"{name}.json", {**UPDATED, **changes})


def test_policies_with_their_gain_over_the_nearest_examined_ancestor(world: World) -> None:
    """At 8 tokens r0 solves 1 of 8 answers, i2 6 of 8, o1 none; i1 sits no exam."""
    rows = {row["policy"]: row for row in world.summarize()["policies"]}
    assert {name: row["success"] for name, row in rows.items()} == {
        "r0": 0.125,
        "i2": 0.75,
        "o1": 0.0,
    }
    assert "against" not in rows["r0"]
    assert (rows["i2"]["against"], rows["i2"]["gain"]) == ("r0", 0.625)
    assert (rows["o1"]["against"], rows["o1"]["gain"]) == ("r0", -0.125)
    assert rows["i2"]["gain_low"] <= 0.625 <= rows["i2"]["gain_high"]
    assert {row["num_problems"] for row in rows.values()} == {4}


def test_an_ancestor_that_stands_later_in_exams_is_what_is_subtracted(world: World) -> None:
    before = {row["policy"]: row for row in world.summarize()["policies"]}["i2"]
    world.edit_params(
        lambda raw: raw.update(exams={name: raw["exams"][name] for name in ("i2", "o1", "r0")})
    )
    world.compare()
    after = {row["policy"]: row for row in world.summarize()["policies"]}["i2"]
    assert after["gain"] == before["gain"]
    assert after["gain_low"] <= after["gain"] <= after["gain_high"]


def test_rounds_are_rows_of_their_chains(world: World) -> None:
    rows = world.summarize()["rounds"]
    assert [(row["chain"], row["round"], row["number"], row["policy"]) for row in rows] == [
        ("i2", "i1", 1, "r0"),
        ("i2", "i2", 2, "i1"),
        ("o1", "o1", 1, "r0"),
    ]
    assert all(row[name] == value for row in rows for name, value in {**SCORED, **UPDATED}.items())
    assert {row["first_entropy_nats"] for row in rows} == {0.4}


def test_a_chain_that_falls_says_so_with_the_round_and_the_key(world: World) -> None:
    scored(world, "i1", success=0.6)
    scored(world, "i2", success=0.3)
    [found] = [one for one in world.summarize()["findings"] if one["rule"] == "falling"]
    assert found["round"] == "i2"
    assert found["key"] == "recipes.information.update.optimizer.learning_rate"
    assert "30.0% in i2, was 60.0% in i1" in found["message"]


def test_a_fall_within_noise_is_none(world: World) -> None:
    scored(world, "i1", success=0.6)
    scored(world, "i2", success=0.55)
    assert "falling" not in {one["rule"] for one in world.summarize()["findings"]}


def test_rounds_under_another_recipe_are_not_compared(world: World) -> None:
    scored(world, "i1", success=0.6)
    scored(world, "i2", success=0.3)
    updated(world, "i2", entropy_nats=0.01)
    assert {"falling", "entropy_fell"} <= {one["rule"] for one in world.summarize()["findings"]}
    world.edit_params(lambda raw: raw["rounds"]["i2"].update(recipe="outcome"))
    rules = {one["rule"] for one in world.summarize()["findings"] if one.get("round") == "i2"}
    assert rules == {"entropy_fell"}  # within i2 alone, from .4 to .01
    updated(world, "i2", entropy_nats=0.3)
    assert not [one for one in world.summarize()["findings"] if one.get("round") == "i2"]


def test_entropy_is_held_against_the_chains_beginning(world: World) -> None:
    """From .4 in i1 by .3 to .2, half of it; i2 begins with .25, so alone it would pass."""
    path = world.data / "metrics/updates/i2.json"
    edit(path, entropy_nats={"first": 0.25, "last": 0.2})
    updated(world, "i2", entropy_nats=0.2)
    [found] = [one for one in world.summarize()["findings"] if one["rule"] == "entropy_fell"]
    assert (
        found["message"]
        == "entropy fell to 50% of what it was when this chain began with information"
    )


def test_a_policy_worse_than_its_parent_is_found(world: World) -> None:
    pair = world.data / "report/comparisons.json"
    compared = json.loads(pair.read_text())
    compared["o1_minus_r0"]["all"]["budget_8"] = {"mean": -0.2, "low": -0.3, "high": -0.1}
    pair.write_text(json.dumps(compared))
    [found] = [one for one in world.summarize()["findings"] if one["rule"] == "worse_in_exam"]
    assert found["policy"] == "o1"
    assert found["message"] == "o1 is worse than r0 in the exam: -20.0% [-30.0%, -10.0%]"


def test_chains_that_share_their_last_measured_round_tell_it_once(world: World) -> None:
    world.edit_params(
        lambda raw: raw["rounds"].update(
            {name: {**raw["rounds"]["i2"], "seed": seed} for name, seed in (("x2", 8), ("y2", 9))}
        )
    )
    (world.data / "metrics/summary/rounds/i2.json").unlink()
    scored(world, "i1", one_outcome_frac=1.0)
    found = [one for one in world.summarize(only_measured=True)["findings"] if "round" in one]
    assert [(one["round"], one["rule"]) for one in found] == [("i1", "one_outcome")]


def test_what_is_not_measured_yet_is_left_out_where_it_may_be(world: World) -> None:
    metrics = world.data / "metrics"
    (metrics / "updates/i2.json").unlink()
    (metrics / "exams/o1.json").unlink()
    (world.data / "report/comparisons.json").unlink()
    with pytest.raises(BadInput, match=r"i2\.json is missing"):
        world.summarize()
    summary = world.summarize(only_measured=True)
    assert [row["policy"] for row in summary["policies"]] == ["r0", "i2"]
    assert all("gain" not in row for row in summary["policies"])
    by_round = {row["round"]: row for row in summary["rounds"]}
    assert by_round["i2"]["reward"] == 0.5
    assert "kl_nats" not in by_round["i2"]


def test_points_of_success_are_each_policy_at_its_best_temperature(world: World) -> None:
    world.summarize()
    rows = [(one["line"], one["budget_tokens"], one["success"]) for one in points(world, "success")]
    assert rows[:3] == [("r0 at 1", 0, 0.0), ("r0 at 1", 8, 0.125), ("r0 at 1", 16, 0.75)]
    assert len(rows) == 9


def test_points_of_rounds_and_steps_run_along_the_chain(world: World) -> None:
    scored(world, "i2", success=0.0, success_stderr=0.0)
    world.summarize()
    rounds = points(world, "rounds")
    assert [(one["line"], one["number"], one["reward"]) for one in rounds] == [
        ("i2", 1, 0.5),
        ("i2", 2, 0.5),
        ("o1", 1, 0.5),
    ]
    assert rounds[0]["success_low"] == pytest.approx(0.5 - 1.96 * 0.05)
    assert rounds[1]["success_high"] == 0
    steps = [(one["line"], one["round"], one["step"]) for one in points(world, "steps")]
    assert steps == [
        ("i2", "i1", 1),
        ("i2", "i1", 2),
        ("i2", "i2", 3),
        ("i2", "i2", 4),
        ("o1", "o1", 1),
        ("o1", "o1", 2),
    ]


def test_without_rounds_there_is_nothing_to_draw(world: World) -> None:
    def without(raw: dict[str, Any]) -> None:
        raw["rounds"], raw["exams"] = {}, {"r0": raw["exams"]["r0"]}

    world.edit_params(without)
    summary = world.summarize()
    assert (summary["rounds"], summary["findings"]) == ([], [])
    assert json.loads((world.data / "report/points/rounds.json").read_text()) == {}
