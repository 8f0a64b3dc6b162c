"""Differences within a problem: by hand, by difficulty, over seeds, none where exams differ."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.compare import __main__ as compare
from stages.compare.rewards import BANDS
from stages.contracts.params.evaluate import Evaluate
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.grades import GRADES
from stages.running.errors import BadInput
from tests.world import BUDGETS, REWARDS, World, make_world, round_entry, write_exam

SETTINGS = Evaluate(seed=1, num_resamples=200, confidence=0.95)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_world(tmp_path_factory.mktemp("compared")).compare()


def test_comparisons_are_those_computed_by_hand(compared: dict[str, Any]) -> None:
    assert set(compared) == {"i2_minus_r0", "o1_minus_r0", "o1_minus_i2"}
    comparison = compared["i2_minus_r0"]
    assert set(comparison) == {"all", "difficulty_3", "difficulty_10", *BANDS}
    budgets = {f"budget_{budget}" for budget in BUDGETS}
    assert set(comparison["all"]) == {
        *budgets,
        "normalized_regret",
        "regret_against_best",
        "tokens_ratio",
        "temperatures",
        "by_temperature",
    }
    # At 8 tokens: p0 1 - 0, p1 1 - 1/2, p2 1 - 0, p3 0 - 0.
    assert comparison["all"]["budget_8"]["mean"] == 0.625
    assert comparison["difficulty_3"]["budget_8"]["mean"] == 0.75
    assert comparison["difficulty_10"]["budget_8"]["mean"] == 0.5
    # Of two problems that differ by 0 and 1, resamples have means 0, 1/2 and 1.
    assert comparison["difficulty_3"]["budget_0"] == {"mean": 0.5, "low": 0.0, "high": 1.0}
    assert comparison["difficulty_3"]["budget_16"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    # Areas of r0: 1/4, 1/2, 0, 1/4; of i2: 3/4, 1, 3/4, 0.
    assert comparison["all"]["normalized_regret"]["mean"] == -0.375
    # Best observed: i2's 1/4 and 3/4, then 3/4 of both: an area of 5/8.
    assert comparison["all"]["regret_against_best"]["mean"] == -0.6


def test_tokens_are_compared_at_a_success_that_both_reach(compared: dict[str, Any]) -> None:
    """Mean curves: r0 0, 1/8, 3/4 and i2 1/4, 3/4, 3/4, so both reach 9/10 of 3/4."""
    ratios = compared["i2_minus_r0"]["all"]["tokens_ratio"]
    assert ratios["success_level"] == 0.675
    assert ratios["mean"] == pytest.approx((8 * 0.425 / 0.5) / (8 + 8 * 0.55 / 0.625), abs=1e-4)
    # i2 solves p1 at once: of a level reached without thinking there is no ratio.
    frame = pd.DataFrame([[1.0, 1.0]], columns=[0, 8])
    assert compare.thrift(frame, frame, SETTINGS) is None


def test_a_failed_verifier_is_left_out_of_a_comparison(compared: dict[str, Any]) -> None:
    # p2's other sample is judged 0, so o1 - r0 at 16 tokens is p0 0, p1 0, p2 0, p3 -1.
    assert compared["o1_minus_r0"]["all"]["budget_16"]["mean"] == -0.25


def test_bands_of_failure_by_hand(compared: dict[str, Any]) -> None:
    """r0's second samples put p2 above the rest; its first put p1 below, p2 above, two between."""
    means = {band: compared["i2_minus_r0"][band]["budget_8"]["mean"] for band in BANDS}
    assert means["failure_low"] == 1.0  # p1's second sample: 1 - 0
    assert means["failure_middle"] == pytest.approx(
        1 / 3, abs=1e-4
    )  # p0 1 - 0, p1's first sample 1 - 1, p3 0 - 0
    assert means["failure_high"] == 1.0  # p2 1 - 0


def test_each_policy_is_taken_at_its_own_best_temperature(world: World) -> None:
    """Colder r0 does what i2 does at temperature 1: i2's lead is there, and gone at r0's best."""
    write_exam(world, "r0", REWARDS["r0"], colder=REWARDS["i2"], best=0.35)
    write_exam(world, "i2", REWARDS["i2"], colder=REWARDS["r0"])
    pair = world.compare()["i2_minus_r0"]
    assert pair["all"]["temperatures"] == {"r0": 0.35, "i2": 1.0}
    assert pair["all"]["budget_8"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    means = {t: by["budget_8"]["mean"] for t, by in pair["all"]["by_temperature"].items()}
    assert means == {"1.0": 0.625, "0.35": -0.625}
    assert set(pair["difficulty_3"]["by_temperature"]["1.0"]) == {f"budget_{b}" for b in BUDGETS}
    assert "by_temperature" not in pair["failure_high"]
    assert pair["failure_high"]["temperatures"] == {"r0": 0.35, "i2": 1.0}


def test_difficulties_have_temperatures_of_their_own(world: World) -> None:
    """At difficulty 10 the reserved problem is right in the cold alone; that of 3 says nothing."""
    path = world.data / "exams/r0/grades.parquet"
    rows = read_table(path, GRADES).to_pylist()
    for row in rows:
        if row["split"] == "reserved":
            is_cold = row["temperature"] < 1
            row["reward"] = float(is_cold and row["difficulty"] == 10)
    write_table(path, GRADES, rows)
    pair = world.compare()["i2_minus_r0"]
    chosen = {level: pair[level]["temperatures"]["r0"] for level in pair if "difficulty" in level}
    assert chosen == {"difficulty_3": 1.0, "difficulty_10": 0.35}
    assert pair["all"]["temperatures"]["r0"] == pair["failure_high"]["temperatures"]["r0"] == 0.35


def test_one_sample_a_problem_gives_no_bands(world: World) -> None:
    for policy, rewards in REWARDS.items():
        write_exam(world, policy, {problem: samples[1:] for problem, samples in rewards.items()})
    assert set(world.compare()["i2_minus_r0"]) == {"all", "difficulty_3", "difficulty_10"}


def test_only_held_out_problems_are_compared(world: World) -> None:
    before = world.compare()
    path = world.data / "exams/i2/grades.parquet"
    rows = read_table(path, GRADES).to_pylist()
    seen = [
        {**row, "problem_id": "q0", "split": "train", "reward": 1.0}
        for row in rows
        if row["problem_id"] == "p0"
    ]
    write_table(path, GRADES, rows + seen)
    assert world.compare() == before


def test_policies_that_differ_in_seeds_only_are_compared_over_seeds(world: World) -> None:
    """o1 and o4 are seeds of one recipe.

    Each alone has its interval; together the spread between them counts too.
    """

    def edit(raw: dict[str, Any]) -> None:
        raw["rounds"]["o4"] = round_entry("r0", "outcome", 5)
        raw["exams"]["o4"] = {"judge": "exact"}

    world.edit_params(edit)
    write_exam(world, "o4", REWARDS["i2"])
    comparisons = world.compare()
    assert {name for name in comparisons if "+" in name} == {"o1+o4_minus_r0", "o1+o4_minus_i2"}
    together = comparisons["o1+o4_minus_r0"]["all"]
    # At 8 tokens o1 is r0 less 1/8, o4 is i2, and r0 succeeds in 1/8.
    assert together["budget_8"]["mean"] == pytest.approx((0.625 - 0.125) / 2)
    assert "tokens_ratio" not in together
    widths = [comparisons[name]["all"]["budget_0"] for name in ("o1+o4_minus_r0", "o1_minus_r0")]
    assert widths[0]["high"] - widths[0]["low"] > widths[1]["high"] - widths[1]["low"]


def test_a_difference_that_rounds_to_zero_has_no_sign() -> None:
    before, after = (pd.DataFrame({"budget_8": [value]}) for value in (1e-6, 0.0))
    difference = compare.differences([before], [after], "all", SETTINGS)["budget_8"]
    assert difference is not None
    assert str(difference["mean"]) == "0.0"


def test_a_verifier_that_failed_everywhere_is_told(world: World) -> None:
    path = world.data / "exams/i2/grades.parquet"
    rows = read_table(path, GRADES).to_pylist()
    write_table(path, GRADES, [{**row, "reward": None, "verdict": "error"} for row in rows])
    with pytest.raises(
        BadInput, match=r"exams, all, budget_0: the verifier failed on every answer"
    ):
        world.compare()


def test_exams_on_different_problems_are_not_paired(world: World) -> None:
    path = world.data / "exams/i2/grades.parquet"
    rows = read_table(path, GRADES).to_pylist()
    write_table(path, GRADES, [row for row in rows if row["problem_id"] != "p1"])
    with pytest.raises(BadInput, match="exams r0 and i2 asked different problems"):
        world.compare()


def test_a_missing_exam_is_named_and_nothing_is_written(world: World) -> None:
    shutil.rmtree(world.data / "exams/i2/grades.parquet")
    world.arguments["comparisons"].unlink()
    with pytest.raises(BadInput, match="table grades"):
        world.compare()
    assert not world.arguments["comparisons"].exists()
