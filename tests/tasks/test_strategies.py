"""Strategies on candidates made up by hand: what is attempted, in which order, what is answered."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.params.inits.demonstrations import (
    DirectDemonstrations,
    ParallelDemonstrations,
    ReviseDemonstrations,
    SearchDemonstrations,
)
from stages.tasks.strategies import (
    Attempting,
    AttemptPlan,
    Candidates,
    direct_demonstration,
    draw_attempts,
    draw_problems,
)
from stages.tasks.task import Problem

# Three first steps: under 0 candidate 2 hits, under 1 none does, under 2 candidate 6 alone does.
SOME = Candidates(distances=(-9, 4, 0, 3, -1, 7, 0), first_steps=(0, 0, 0, 1, 1, 1, 2))
SHAPE: dict[str, Any] = {
    "num_demos": 10,
    "immediate_answer_frac": 0.2,
    "planned_hit_frac": 0.4,
    "max_planned_attempts": 4,
    "max_attempts": 6,
    "give_up_fracs": [0.1, 0.4],
    "wrong_answer_frac": 0.5,
}
REVISE = ReviseDemonstrations(strategy="revise", candidates_per_attempt=[1, 2], **SHAPE)
PARALLEL = ParallelDemonstrations(strategy="parallel", candidates_per_attempt=[1, 2], **SHAPE)
SEARCH = SearchDemonstrations(strategy="search", max_siblings=2, max_blur=0.0, **SHAPE)
ALL = [REVISE, PARALLEL, SEARCH]
QUICK = settings(derandomize=True, deadline=None, max_examples=80, database=None)
CANDIDATES = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 4)), max_size=12).map(
    lambda pairs: Candidates((*(d for d, _ in pairs), 0), (*(s for _, s in pairs), 9))
)

each_strategy = pytest.mark.parametrize("shape", ALL, ids=lambda shape: shape.strategy)


def changed(shape: Attempting, **values: object) -> Any:
    return shape.model_copy(update=values)


def traces(
    shape: Attempting, num_traces: int = 3000, candidates: Candidates = SOME
) -> list[AttemptPlan]:
    rng = random.Random(5)
    return [draw_attempts(candidates, shape, rng) for _ in range(num_traces)]


def is_hit(index: int) -> bool:
    return SOME.distances[index] == 0


def hits_of(trace: AttemptPlan) -> list[int]:
    return [index for index in trace.attempts if is_hit(index)]


def problem(name: str, difficulty: int) -> Problem:
    return Problem(name, "train", difficulty, f"<bos> {name} :", "7", {}, 0)


def test_hits_misses_and_the_nearest_by_hand() -> None:
    assert SOME.hits == (2, 6)
    assert SOME.misses == (0, 1, 3, 4, 5)
    assert SOME.nearest([0, 3, 1]) == 3
    assert SOME.nearest([1, 5]) == SOME.nearest([5, 1]) == 1
    assert Candidates((3, -3), (0, 1)).nearest([1, 0]) == 1  # of equally near ones the first


@each_strategy
@QUICK
@given(candidates=CANDIDATES, seed=st.integers(0, 99))
def test_any_candidates_give_a_trace_within_bounds(
    shape: Attempting, candidates: Candidates, seed: int
) -> None:
    attempts, answer = draw_attempts(candidates, shape, random.Random(seed))
    assert len(attempts) <= max(shape.max_attempts, shape.max_planned_attempts)
    assert {*attempts, answer} <= set(range(len(candidates.distances)))
    if any(candidates.distances[index] == 0 for index in attempts):
        assert candidates.distances[answer] == 0
        assert answer in attempts
    assert draw_attempts(candidates, shape, random.Random(seed)) == (attempts, answer)


@each_strategy
def test_shares_are_those_asked_for(shape: Attempting) -> None:
    drawn = traces(shape)
    immediate = sum(not trace.attempts for trace in drawn) / len(drawn)
    assert immediate == pytest.approx(0.2, abs=0.03)
    planned = traces(changed(shape, immediate_answer_frac=0.0, planned_hit_frac=1.0))
    assert all(len(hits_of(trace)) == 1 for trace in planned)
    misses = Counter(len(trace.attempts) - 1 for trace in planned)
    expected = dict.fromkeys(range(4), 0.25)
    if (
        shape is SEARCH
    ):  # under the only first step without a hit two are tried, and then there is but the hit
        expected = {0: 0.25, 1: 0.25, 2: 0.5}
    assert {depth: count / 3000 for depth, count in misses.items()} == pytest.approx(
        expected, abs=0.03
    )


@each_strategy
def test_answers_come_after_any_number_of_misses(shape: Attempting) -> None:
    """Committing without a hit is seen at every depth, or success there would measure form."""
    drawn = [trace for trace in traces(shape) if not hits_of(trace)]
    depths = {(len(trace.attempts), is_hit(trace.answer)) for trace in drawn}
    longest = (
        2 if shape is SEARCH else 6
    )  # systematic search meets a hit as the third at the latest, or gives up
    expected = {(depth, right) for depth in range(longest + 1) for right in (True, False)}
    assert expected - depths == {
        (0, False)
    }  # who answers at once is shown the right answer: that is knowledge


@each_strategy
def test_what_was_found_is_answered(shape: Attempting) -> None:
    for trace in traces(shape):
        if hits_of(trace):
            assert trace.answer == hits_of(trace)[-1]


@each_strategy
@pytest.mark.parametrize("wrong_answer_frac", [0.0, 0.3, 1.0])
def test_who_found_nothing_is_wrong_as_often_as_asked(
    shape: Attempting, wrong_answer_frac: float
) -> None:
    drawn = [
        t
        for t in traces(changed(shape, wrong_answer_frac=wrong_answer_frac))
        if t.attempts and not hits_of(t)
    ]
    wrong = [trace for trace in drawn if not is_hit(trace.answer)]
    assert len(wrong) / len(drawn) == pytest.approx(wrong_answer_frac, abs=0.05)
    assert all(trace.answer == SOME.nearest(trace.attempts) for trace in wrong)


@each_strategy
def test_where_every_candidate_hits_no_answer_is_wrong(shape: Attempting) -> None:
    candidates = Candidates((0, 0, 0), (0, 0, 1))
    assert all(
        trace.answer in (0, 1, 2)
        for trace in traces(changed(shape, wrong_answer_frac=1.0), 200, candidates)
    )


@pytest.mark.parametrize("shape", [REVISE, SEARCH], ids=lambda shape: shape.strategy)
def test_who_sees_a_hit_stops_there(shape: Attempting) -> None:
    for attempts, _ in traces(shape):
        assert not any(is_hit(index) for index in attempts[:-1])


def test_parallel_goes_on_behind_a_hit_and_plans_one_anywhere() -> None:
    free = traces(changed(PARALLEL, immediate_answer_frac=0.0, planned_hit_frac=0.0))
    assert any(is_hit(index) for trace in free for index in trace.attempts[:-1])
    lengths = Counter(len(trace.attempts) for trace in free)
    blind = traces(
        changed(PARALLEL, immediate_answer_frac=0.0, planned_hit_frac=0.0),
        candidates=Candidates((0,), (0,)),
    )
    other = Counter(len(trace.attempts) for trace in blind)
    assert all(
        abs(lengths[n] - other[n]) / 3000 < 0.03 for n in range(1, 7)
    )  # length tells nothing of success
    planned = traces(changed(PARALLEL, immediate_answer_frac=0.0, planned_hit_frac=1.0))
    places = Counter(
        trace.attempts.index(hits_of(trace)[0]) for trace in planned if len(trace.attempts) == 4
    )
    assert set(places) == {0, 1, 2, 3}


def test_revise_takes_the_nearest_of_a_few_and_may_repeat() -> None:
    shape = changed(
        REVISE, immediate_answer_frac=0.0, planned_hit_frac=0.0, candidates_per_attempt=[40]
    )
    assert {trace.attempts[0] for trace in traces(shape, 300)} == {2, 6}
    assert any(len(set(trace.attempts)) < len(trace.attempts) for trace in traces(REVISE))


def test_search_tries_siblings_by_distance_then_takes_another_first_step() -> None:
    """Under first step 1 stand 3, 4, 5 at distances 3, -1, 7: two are tried, the nearer first."""
    shape = changed(SEARCH, immediate_answer_frac=0.0, planned_hit_frac=0.0, give_up_fracs=[0.0])
    assert {tuple(trace.attempts) for trace in traces(shape)} == {(2,), (6,), (4, 3, 2), (4, 3, 6)}
    planned = changed(SEARCH, immediate_answer_frac=0.0, planned_hit_frac=1.0)
    expected = {(2,), (6,), (4, 2), (4, 6), (4, 3, 2), (4, 3, 6)}
    assert {tuple(trace.attempts) for trace in traces(planned)} == expected


def test_search_with_a_blurred_eye_may_pass_by_a_hit() -> None:
    """Under first step 0 the hit looks 0 to 20 away, its siblings 9 and 4: any may come first."""
    shape = changed(
        SEARCH, immediate_answer_frac=0.0, planned_hit_frac=0.0, give_up_fracs=[0.0], max_blur=20.0
    )
    drawn = [trace.attempts for trace in traces(shape)]
    assert {attempts[0] for attempts in drawn} == {0, 1, 2, 3, 4, 5, 6}
    assert any(attempts[:2] == [1, 0] for attempts in drawn)
    assert sum(attempts[0] == 2 for attempts in drawn) > sum(attempts[0] == 0 for attempts in drawn)


def test_search_visits_equally_near_siblings_in_any_order() -> None:
    twins = Candidates((5, -5, 0), (0, 0, 1))
    shape = changed(SEARCH, immediate_answer_frac=0.0, planned_hit_frac=0.0, give_up_fracs=[0.0])
    assert {tuple(trace.attempts) for trace in traces(shape, 200, twins)} == {
        (0, 1, 2),
        (1, 0, 2),
        (2,),
    }


@QUICK
@given(candidates=CANDIDATES, seed=st.integers(0, 99))
def test_search_attempts_nothing_twice_and_backtracks_in_time(
    candidates: Candidates, seed: int
) -> None:
    attempts, _ = draw_attempts(candidates, SEARCH, random.Random(seed))
    assert len(set(attempts)) == len(attempts)
    steps = [candidates.first_steps[index] for index in attempts]
    assert all(count <= SEARCH.max_siblings for count in Counter(steps).values())
    runs = [step for at, step in enumerate(steps) if at == 0 or steps[at - 1] != step]
    assert len(runs) == len(set(runs))  # a first step once left is not taken again


def test_direct_is_the_reference_at_once() -> None:
    shown = direct_demonstration(problem("p", 3), "# ")
    assert (shown.text, shown.is_correct, shown.num_segments, shown.strategy) == (
        "# 7",
        True,
        0,
        "direct",
    )


def test_problems_come_by_weight_and_not_again_before_all_others_of_their_difficulty() -> None:
    pool = [problem(f"{difficulty}/{n}", difficulty) for difficulty in (2, 3, 4) for n in range(20)]
    shape = DirectDemonstrations(
        strategy="direct", num_demos=4000, difficulty_weights={3: 1.0, 2: 3.0}
    )
    drawn = list(draw_problems(pool, shape, random.Random(0)))
    levels = Counter(p.difficulty for p in drawn)
    assert set(levels) == {2, 3}
    assert levels[2] / 4000 == pytest.approx(0.75, abs=0.03)
    for level in (2, 3):
        times = Counter(p.problem_id for p in drawn if p.difficulty == level)
        assert len(times) == 20
        assert max(times.values()) - min(times.values()) <= 1


def test_without_weights_every_problem_is_equally_likely() -> None:
    pool = [
        problem(f"{difficulty}/{n}", difficulty)
        for difficulty, size in ((2, 3), (3, 7))
        for n in range(size)
    ]
    shape = DirectDemonstrations(strategy="direct", num_demos=25)
    times = Counter(p.problem_id for p in draw_problems(pool, shape, random.Random(0)))
    assert sum(times.values()) == 25
    assert set(times.values()) == {2, 3}
    assert len(times) == 10
