"""What probe asks, of whom: boundaries drawn, answers known, and rows that hold one estimator each."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.contracts.params.recipes.probe import AnswerLikelihood, SetLikelihood
from stages.contracts.params.task import TaskParams
from stages.contracts.params.whole import load
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.scores import SCORES
from stages.probe.__main__ import draw_boundaries, find_boundaries, known_answers, read_rewards
from stages.tasks.sources import load_source
from tests.conftest import PROFILES


@pytest.fixture(scope="module")
def task() -> TaskParams:
    return load(PROFILES / "tiny.yaml").task


def test_boundaries_stand_before_each_thinking_segment_and_behind_the_last() -> None:
    segments = pa.table(
        {
            "rollout_id": ["a", "a", "a", "b"],
            "segment_index": [0, 1, 2, 0],
            "kind": ["attempt", "other", "answer", "answer"],
            "end_token": [5, 9, 12, 3],
        }
    )
    assert find_boundaries(segments) == {"a": [0, 5, 9], "b": [0]}


@given(st.integers(1, 30), st.integers(0, 2**62), st.floats(0, 1))
def test_the_first_and_the_last_boundary_are_always_drawn(
    num_boundaries: int, seed: int, boundary_frac: float
) -> None:
    drawn = draw_boundaries(num_boundaries, seed, boundary_frac)
    assert drawn == sorted(set(drawn))
    assert {0, num_boundaries - 1} <= set(drawn) <= set(range(num_boundaries))
    assert draw_boundaries(num_boundaries, seed, 1.0) == draw_boundaries(num_boundaries, seed, None)
    assert draw_boundaries(num_boundaries, seed, 0.0) == sorted({0, num_boundaries - 1})


@given(st.integers(0, 2**62), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_drew(seed: int, one: float, other: float) -> None:
    few, many = (draw_boundaries(20, seed, frac) for frac in sorted((one, other)))
    assert set(few) <= set(many)


def test_the_share_drawn_is_the_recipes() -> None:
    drawn = sum(len(draw_boundaries(12, seed, 0.3)) - 2 for seed in range(2000))
    assert drawn / (2000 * 10) == pytest.approx(0.3, abs=0.01)


def test_the_known_answer_is_one_of_the_set(task: TaskParams) -> None:
    source = load_source(task)
    problems = random.Random(0).sample(list(source.problems()), 20)
    every = known_answers(
        SetLikelihood(estimator="set_likelihood", micro_batch_tokens=1), task, problems
    )
    one = known_answers(
        AnswerLikelihood(estimator="answer_likelihood", micro_batch_tokens=1), task, problems
    )
    assert any(len(every(problem.problem_id)) > 1 for problem in problems)
    for problem in problems:
        assert one(problem.problem_id) == [problem.answer]
        assert problem.answer in every(problem.problem_id)


def test_a_lost_reward_is_not_a_zero(tmp_path: Path) -> None:
    rows = [
        {
            "rollout_id": "a",
            "verdict": "correct",
            "reward": 1.0,
            "judge_score": None,
            "answer": "1",
        },
        {
            "rollout_id": "b",
            "verdict": "timeout",
            "reward": None,
            "judge_score": None,
            "answer": "1",
        },
    ]
    write_table(tmp_path / "scores.parquet", SCORES, rows)
    found = read_rewards(tmp_path / "scores.parquet")
    assert found["a"] == 1.0
    assert found["b"] != found["b"]
