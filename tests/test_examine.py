"""Which problems of the train split an exam asks beside the held-out ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checkouts import ROOT
from stages import examine
from stages.contracts.params.whole import load
from stages.running.errors import BadInput
from stages.tasks.task import Problem

EXAM = load(ROOT / "params.yaml").exam


def problem(difficulty: int, number: int) -> Problem:
    return Problem(
        f"d{difficulty}-{number}", "train", difficulty, "<bos> 1 2 T3 :", "1 + 2 3", {}, number
    )


PROBLEMS = [problem(difficulty, number) for number in range(9) for difficulty in (4, 3)]


def drawn(num_seen: int, seed: int, problems: list[Problem] = PROBLEMS) -> list[str]:
    return [
        p.problem_id
        for p in examine.draw_seen(
            problems, EXAM.model_copy(update={"num_seen": num_seen, "seed": seed})
        )
    ]


@given(st.integers(0, 9), st.integers(0, 99))
def test_each_difficulty_is_asked_as_often(num_seen: int, seed: int) -> None:
    seen = drawn(num_seen, seed)
    assert len(set(seen)) == len(seen)
    assert [name[:2] for name in seen] == ["d3"] * num_seen + ["d4"] * num_seen


def test_the_draw_is_the_exams_own() -> None:
    """Another policy has the same exam; another seed, or another difficulty, has another draw."""
    assert drawn(4, 1) == drawn(4, 1)
    assert drawn(4, 1) != drawn(4, 2)
    assert drawn(4, 1)[:4] == drawn(4, 1, [p for p in PROBLEMS if p.difficulty == 3])


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(
        BadInput, match=r"num_seen asks for 10 .* difficulty 3 has 9 .* raise task.tiers num_train"
    ):
        drawn(10, 1)
