"""Which problems a round asks, and what is known of a rollout before it is sampled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.checkouts import PROFILES
from stages import rollout
from stages.contracts.params.round import Round
from stages.contracts.params.whole import load
from stages.contracts.render import Renderer
from stages.running.errors import BadInput
from stages.tasks.formats import load_format
from stages.tasks.task import Problem

EVERYTHING = load(PROFILES / "tiny.yaml")
RENDERER = Renderer(load_format(EVERYTHING.task).tokenizer([]))
ENTRY = Round(parent="r0", reference="r0", recipe="sampled", judge="exact", seed=1)
SETTINGS = EVERYTHING.recipes["sampled"].rollout.model_copy(
    update={"num_problems": 3, "difficulties": [2], "group_size": 4}
)


def problems(num_easy: int, num_hard: int = 2) -> list[Problem]:
    """Problems of difficulties 2 and 3."""
    difficulties = [2] * num_easy + [3] * num_hard
    return [
        Problem(f"p{number}", "train", difficulty, f"<bos> {number} 5 T7 :", "", {}, number)
        for number, difficulty in enumerate(difficulties)
    ]


@given(st.integers(3, 12), st.integers(0, 2**31 - 1))
def test_problems_are_drawn_without_replacement_and_by_the_seed(num_easy: int, seed: int) -> None:
    drawn = rollout.draw_problems(problems(num_easy), SETTINGS, seed)
    assert len({problem.problem_id for problem in drawn}) == 3
    assert {problem.difficulty for problem in drawn} == {2}
    assert rollout.draw_problems(problems(num_easy), SETTINGS, seed) == drawn


def test_another_seed_draws_others() -> None:
    draws = [rollout.draw_problems(problems(12), SETTINGS, seed) for seed in range(8)]
    assert len({tuple(problem.problem_id for problem in drawn) for drawn in draws}) > 4


def test_too_few_problems_are_refused_with_what_to_do() -> None:
    message = r"num_problems asks for 3 problems of difficulties \[2\], but problems has 2"
    with pytest.raises(BadInput, match=message):
        rollout.draw_problems(problems(2), SETTINGS, seed=1)


def test_a_rollout_is_planned_before_it_is_sampled() -> None:
    drawn = problems(3, num_hard=0)
    planned = list(rollout.plan("i1", ENTRY, SETTINGS, drawn, RENDERER))
    assert [row["rollout_id"] for row in planned[:5]] == [
        *("i1/p0/0", "i1/p0/1", "i1/p0/2", "i1/p0/3"),
        "i1/p1/0",
    ]
    assert {row["policy_id"] for row in planned} == {"r0"}
    assert RENDERER.decode(planned[4]["prompt_tokens"]) == "1 5 T7 :"
    assert len({row["seed"] for row in planned}) == 12


def test_a_rollouts_seed_depends_on_itself_alone() -> None:
    whole = list(rollout.plan("i1", ENTRY, SETTINGS, problems(3), RENDERER))
    part = list(rollout.plan("i1", ENTRY, SETTINGS, problems(3)[1:], RENDERER))
    assert part == whole[SETTINGS.group_size :]
    other = ENTRY.model_copy(update={"seed": 2})
    again = list(rollout.plan("i1", other, SETTINGS, problems(3), RENDERER))
    assert not {row["seed"] for row in whole} & {row["seed"] for row in again}
