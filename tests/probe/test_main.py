"""What probe asks, of whom: boundaries drawn, answers known, and rows that hold one estimator each."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import prepare
from stages.contracts.params.recipes.probe import AnswerLikelihood, SetLikelihood
from stages.contracts.params.task import TaskParams
from stages.contracts.params.whole import load
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.solutions import SOLUTIONS
from stages.probe.__main__ import draw_boundaries, find_boundaries, known_answers, read_rewards
from stages.running.errors import BadInput
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
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


SETS = SetLikelihood(estimator="set_likelihood", micro_batch_tokens=1)
ONES = AnswerLikelihood(estimator="answer_likelihood", micro_batch_tokens=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Problem]]:
    """Tables of problems and solutions as `prepare` writes them, and some problems to ask."""
    folder = tmp_path_factory.mktemp("drawn")
    paths = [folder / name for name in ("problems", "solutions", "format.json", "exact")]
    prepare.main(*paths, PROFILES / "tiny.yaml")
    asked = random.Random(0).sample(read_problems(paths[0], split="train"), 20)
    return paths[0], paths[1], asked


def test_the_known_answer_is_one_of_the_set(drawn: tuple[Path, Path, list[Problem]]) -> None:
    problems, solutions, asked = drawn
    traces = [{"problem_id": problem.problem_id} for problem in asked]
    every = known_answers(SETS, problems, solutions, traces)
    one = known_answers(ONES, problems, solutions, traces)
    assert any(len(answers) > 1 for answers in every.values())
    for problem in asked:
        assert one[problem.problem_id] == [problem.answer]
        assert problem.answer in every[problem.problem_id]


def test_a_problem_without_solutions_is_refused(
    drawn: tuple[Path, Path, list[Problem]], tmp_path: Path
) -> None:
    problems, _, asked = drawn
    write_table(tmp_path / "none", SOLUTIONS, [])
    traces = [{"problem_id": problem.problem_id} for problem in asked]
    with pytest.raises(BadInput, match=r"20 of the 20 problems asked, first .*forced_answer"):
        known_answers(SETS, problems, tmp_path / "none", traces)


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
