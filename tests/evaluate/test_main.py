"""An exam graded by the real verifier, and its metrics by hand."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from stages.contracts.params.evaluate import Evaluate
from stages.contracts.params.inits.model import ModelShape
from stages.engines.judging import Wording, load_judge, save_wording
from stages.engines.new_policy import new_policy
from stages.engines.policy import save_policy
from stages.evaluate import __main__ as evaluate
from stages.evaluate.exam_sums import Sums, samples_up_to, sums_of
from stages.evaluate.intervals import Intervals
from stages.running.errors import BadInput
from tests.exam_world import (
    BUDGETS,
    FORM,
    RENDERER,
    RIGHT,
    TEMPERATURES,
    UNREADABLE,
    WRONG,
    Exam,
)

INTERVALS = Intervals(Evaluate(seed=1, num_resamples=200, confidence=0.95))
SHAPE = ModelShape(
    hidden_size=64, intermediate_size=24, num_layers=1, num_heads=2, max_positions=64
)


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    return Exam(tmp_path)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict[str, Any]]:
    """One run of the stage, for tests that only look."""
    return Exam(tmp_path_factory.mktemp("exam")).evaluate()


def test_metrics_of_held_out_answers_by_hand(graded: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    _, metrics = graded
    assert set(metrics) == {"all", "difficulty_3", "curriculum"}
    of_all = metrics["all"]
    assert of_all == metrics["difficulty_3"]
    assert [of_all["success"][f"budget_{budget}"]["mean"] for budget in BUDGETS] == [
        0.0,
        0.25,
        0.5,
        0.75,
    ]
    area = 9 * 0.125 + 9 * 0.375 + 18 * 0.625
    assert of_all["normalized_regret"]["mean"] == pytest.approx(1 - area / 36, abs=1e-4)
    assert of_all["regret_against_own_best"]["mean"] == pytest.approx(
        1 - area / 36 / 0.75, abs=1e-4
    )
    assert of_all["extrapolation"]["mean"] == 0.25
    assert {name: value["mean"] for name, value in of_all["tokens_to_reach"].items()} == {
        "success_25": 9.0,
        "success_50": 18.0,
        "success_75": 36.0,
    }
    assert of_all["num_problems"] == 2
    assert of_all["used_tokens"]["budget_36"] == (18 + 9 + 19 + 0) / 4
    assert of_all["hit_frac"] == pytest.approx(2 / 6, abs=1e-4)


def test_the_temperature_is_chosen_on_reserved_problems(
    graded: tuple[pd.DataFrame, dict[str, Any]],
) -> None:
    """They are right in a half at 18 tokens, colder never; held-out ones are all right there."""
    of_all = graded[1]["all"]
    assert of_all["temperature"] == 1.0
    assert set(of_all["success_by_temperature"]) == {"1.0", "0.35"}
    assert of_all["success_by_temperature"]["1.0"] == of_all["success"]
    colder = of_all["success_by_temperature"]["0.35"]
    assert [colder[f"budget_{budget}"]["mean"] for budget in BUDGETS] == [1.0] * 4
    assert of_all["thinking_adds"]["mean"] == 0.5 - 0.0
    swapped = graded[0].reset_index()
    is_reserved = swapped["split"] == "reserved"
    swapped.loc[is_reserved, "reward"] = 1 - swapped.loc[is_reserved, "reward"]
    metrics = evaluate.grade(sums_of(swapped, samples_up_to(2)), TEMPERATURES, 18, INTERVALS)
    assert metrics["temperature"] == 0.35
    assert metrics["success"] == colder
    assert metrics["thinking_adds"]["mean"] == 0.0
    assert metrics["pass_at_k"]["budget_0"]["k_1"]["mean"] == 1.0
    assert metrics["used_tokens"]["budget_36"] == 0.0
    assert metrics["memorisation"]["mean"] == 0.0


def test_a_temperature_that_was_not_asked_is_named(
    graded: tuple[pd.DataFrame, dict[str, Any]],
) -> None:
    with pytest.raises(BadInput, match=r"no held-out answers at temperature 0\.7; run `dvc repro`"):
        evaluate.grade(edited_sums(graded[0]), [1.0, 0.7], 18, INTERVALS)


def test_without_the_budget_0_nobody_knows_what_thinking_adds(
    graded: tuple[pd.DataFrame, dict[str, Any]],
) -> None:
    rows = graded[0].reset_index()
    sums = sums_of(rows[rows["budget_tokens"] > 0], samples_up_to(2))
    assert evaluate.grade(sums, TEMPERATURES, 18, INTERVALS)["thinking_adds"] is None


def test_several_samples_by_hand(graded: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    of_all = graded[1]["all"]
    means = {
        name: [of_all[name][f"budget_{budget}"]["k_2"]["mean"] for budget in BUDGETS]
        for name in ("pass_at_k", "maj_at_k", "best_of_n")
    }
    assert means == {
        "pass_at_k": [0.0, 0.5, 0.5, 1.0],
        "maj_at_k": [0.0, 0.25, 0.5, 0.75],
        "best_of_n": [0.0, 0.5, 0.5, 1.0],
    }
    assert set(of_all["pass_at_k"]["budget_0"]) == {"k_1", "k_2"}


def test_verdicts_and_thoughts_by_hand(graded: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    """Of three misses that were judged one is called right, of two hits one is called wrong."""
    of_all = graded[1]["all"]
    assert of_all["self_verification"]["false_positive_frac"]["mean"] == pytest.approx(
        1 / 3, abs=1e-4
    )
    assert of_all["self_verification"]["false_negative_frac"]["mean"] == 0.5
    assert of_all["generation_verification_gap"]["mean"] == pytest.approx(
        1 - (1 / 3 + 1 / 2) / 2 - 2 / 6, abs=1e-4
    )
    by_number = {
        name: (value["mean"], value["num_problems"])
        for name, value in of_all["success_by_num_segments"].items()
    }
    assert by_number == {
        "segments_0": (1, 1),
        "segments_1": (1, 1),
        "segments_2": (1, 1),
        "segments_3": (0, 1),
    }


def test_memorisation_and_what_to_train_next(graded: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    _, metrics = graded
    assert metrics["all"]["memorisation"]["mean"] == 0.25  # s0 always right, h0 and h1 in 3/4
    # At 9 tokens 1/4, at 18 1/2, at 36 3/4: success rises as far as the grid goes, but is as high
    # as mastered.
    assert metrics["curriculum"] == {
        "budget_tokens": 36,
        "difficulties": [3],
        "budget_tokens_by_difficulty": {"difficulty_3": 36},
    }


def test_difficulties_weigh_the_same_in_memorisation() -> None:
    """Seen and unseen problems are equally right at each difficulty: nothing was memorised.

    Only their numbers differ.
    """
    rows = [
        (difficulty, split, f"{difficulty}{split}{number}", reward)
        for difficulty, split, size, reward in (
            (3, "train", 2, 1),
            (3, "heldout", 8, 1),
            (4, "train", 2, 0),
        )
        for number in range(size)
    ]
    rows += [(4, "heldout", f"4h{number}", 0) for number in range(2)]
    frame = pd.DataFrame(rows, columns=["difficulty", "split", "problem_id", "reward"]).assign(
        budget_tokens=9
    )
    assert frame.groupby("split")["reward"].mean().to_dict() == {"heldout": 0.8, "train": 0.5}
    assert evaluate.memorisation(frame, INTERVALS) == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert evaluate.memorisation(frame[frame["split"] == "heldout"], INTERVALS) is None
    apart = frame[(frame["split"] == "train") == (frame["difficulty"] == 3)]
    assert evaluate.memorisation(apart, INTERVALS) is None


def test_a_generative_judge_chooses_by_its_score(exam: Exam) -> None:
    judge = exam.root / "judge"
    model = new_policy(SHAPE, RENDERER, {}, seed=3)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(8)
    save_policy(model, RENDERER, judge)
    save_wording(Wording(FORM.cue, *FORM.judge_words), judge)
    grades, metrics = exam.evaluate()
    expected = load_judge(judge)(["<bos> 3 7 5 T36 :"] * 3, [RIGHT, WRONG, UNREADABLE])
    by_answer = grades.groupby("answer")["judge_score"].agg(["min", "max"])
    for answer, score in zip([RIGHT, WRONG, UNREADABLE], expected, strict=True):
        assert by_answer.loc[answer].tolist() == pytest.approx([score, score], rel=1e-6)
    # Of h0's two answers at 9 tokens one is right, of h1's none: the judge finds it where it scores
    # it higher.
    chosen = metrics["all"]["best_of_n"]["budget_9"]["k_2"]["mean"]
    assert chosen == (0.5 if expected[0] > expected[1] else 0.0)
    assert metrics["all"]["pass_at_k"]["budget_9"]["k_2"]["mean"] == 0.5


def edited_sums(grades: pd.DataFrame, **columns: Any) -> Sums:
    return sums_of(grades.reset_index().assign(**columns), samples_up_to(2))


def test_a_failed_verifier_is_left_out_and_counted(
    graded: tuple[pd.DataFrame, dict[str, Any]],
) -> None:
    rewards = graded[0]["reward"].astype(float).copy()
    rewards["h1", 1.0, 0, 36] = float("nan")
    metrics = evaluate.grade(
        edited_sums(graded[0], reward=rewards.to_numpy()), TEMPERATURES, 18, INTERVALS
    )
    assert metrics["num_unverified"] == 1
    assert metrics["success"]["budget_36"]["mean"] == 1.0
    assert (
        metrics["pass_at_k"]["budget_36"]["k_2"]["mean"] == 1.0
    )  # of h0 alone: h1 has one sample left
    with pytest.raises(BadInput, match="the verifier failed on every answer at some budget"):
        evaluate.grade(edited_sums(graded[0], reward=float("nan")), TEMPERATURES, 18, INTERVALS)


def test_what_does_not_exist_is_null(graded: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    silent = dict.fromkeys([name for name in graded[0].columns if name.startswith("num_")], 0)
    metrics = evaluate.grade(
        edited_sums(graded[0], reward=0.0, **silent), TEMPERATURES, 36, INTERVALS
    )
    assert metrics["self_verification"] == {
        "false_positive_frac": None,
        "false_negative_frac": None,
    }
    assert metrics["generation_verification_gap"] is None
    assert metrics["extrapolation"] is None
    assert metrics["regret_against_own_best"] is None
    assert metrics["tokens_to_reach"] == {
        "success_25": None,
        "success_50": None,
        "success_75": None,
    }
    assert evaluate.next_training({"all": metrics, "difficulty_3": metrics}) == {
        "budget_tokens": None,
        "difficulties": [],
        "budget_tokens_by_difficulty": {"difficulty_3": None},
    }
