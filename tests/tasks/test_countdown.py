"""The Countdown source and format: problems, solution sets, demonstrations and tokens."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.contracts.format import closing_marker, without_marker
from stages.contracts.params.inits.demonstrations import (
    Demonstrations,
    DirectDemonstrations,
    ParallelDemonstrations,
    ReviseDemonstrations,
    SearchDemonstrations,
)
from stages.contracts.params.task import CountdownTask, CountdownTier
from stages.contracts.render import Renderer
from stages.contracts.verdict import Verdict
from stages.running.errors import BadInput
from stages.tasks.countdown import Countdown, derivations
from stages.tasks.formats import load_format
from stages.tasks.marks import UNJUDGED
from stages.tasks.task import Problem, StrategySettings
from stages.verifiers.registry import load_verifier

PARAMS = CountdownTask(
    name="countdown",
    seed=7,
    max_number=12,
    max_result=99,
    heldout_bucket=0,
    tiers=[
        CountdownTier(num_numbers=3, num_train=80, num_heldout=20, num_reserved=0),
        CountdownTier(num_numbers=4, num_train=20, num_heldout=5, num_reserved=0),
    ],
)
SHAPE: dict[str, Any] = {
    "num_demos": 150,
    "difficulty_weights": {3: 0.9, 4: 0.1},
    "immediate_answer_frac": 0.2,
    "planned_hit_frac": 0.3,
    "max_planned_attempts": 6,
    "max_attempts": 8,
    "give_up_fracs": [0.05, 0.3],
    "wrong_answer_frac": 0.5,
}
STRATEGIES: dict[str, Demonstrations] = {
    "direct": DirectDemonstrations(strategy="direct", num_demos=150),
    "revise": ReviseDemonstrations(strategy="revise", candidates_per_attempt=[1, 1, 2], **SHAPE),
    "parallel": ParallelDemonstrations(
        strategy="parallel", candidates_per_attempt=[1, 1, 2], **SHAPE
    ),
    "search": SearchDemonstrations(strategy="search", max_siblings=3, max_blur=10.0, **SHAPE),
}
FORMAT = load_format(PARAMS)
VERIFIER = load_verifier(PARAMS)
QUICK = settings(derandomize=True, deadline=None, max_examples=40, database=None)


@pytest.fixture(scope="module")
def source() -> Countdown:
    return Countdown(PARAMS)


@pytest.fixture(scope="module")
def problems(source: Countdown) -> list[Problem]:
    return list(source.problems())


@pytest.fixture(scope="module", params=STRATEGIES)
def demonstrations(
    source: Countdown, problems: list[Problem], request: pytest.FixtureRequest
) -> list[StrategySettings]:
    return list(source.demonstrations(train(problems), STRATEGIES[request.param], seed=1))


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(FORMAT.tokenizer([]))


def train(problems: Sequence[Problem]) -> list[Problem]:
    return [p for p in problems if p.split == "train"]


def canonical(problem: Problem) -> tuple[tuple[int, ...], int]:
    return tuple(sorted(problem.metadata["numbers"])), problem.metadata["target"]


def brute_force(
    numbers: tuple[int, ...], max_result: int
) -> set[tuple[tuple[int, str, int, int], ...]]:
    """All ways, by trying every ordered pair of positions."""
    if len(numbers) == 1:
        return {()}
    reached = set()
    for i, j in itertools.permutations(range(len(numbers)), 2):
        a, b = numbers[i], numbers[j]
        rest = tuple(n for k, n in enumerate(numbers) if k not in (i, j))
        results = {"+": a + b, "-": a - b, "*": a * b, "/": a // b if a % b == 0 else 0}
        for operator, result in results.items():
            if a >= b and 1 <= result <= max_result:
                step = (a, operator, b, result)
                reached |= {(step, *tail) for tail in brute_force((*rest, result), max_result)}
    return reached


def test_one_two_three_has_the_37_derivations_counted_by_hand() -> None:
    # 2 and 1 make 3, 1, 2, 2 and leave 3: 3 + 4 + 3 + 3. 3 and 1 make 4, 2, 3, 3 and leave 2: 4 + 3
    # + 3 + 3. 3 and 2 make 5, 1, 6 and leave 1: 4 + 3 + 4.
    by_result = derivations((1, 2, 3), 99)
    assert len(by_result) == len(set(by_result)) == 37
    assert {tuple(map(tuple, d)) for d in by_result} == brute_force((1, 2, 3), 99)


@QUICK
@given(st.lists(st.integers(1, 12), min_size=2, max_size=4), st.sampled_from([10, 24, 99]))
def test_derivations_are_those_of_a_brute_force_search(numbers: list[int], max_result: int) -> None:
    by_result = derivations(tuple(sorted(numbers)), max_result)
    assert len(by_result) == len(set(by_result))
    assert {tuple(map(tuple, d)) for d in by_result} == brute_force(tuple(numbers), max_result)


def test_counts_are_those_asked_for(problems: list[Problem]) -> None:
    assert Counter((p.difficulty, p.split) for p in problems) == {
        (3, "train"): 80,
        (3, "heldout"): 20,
        (4, "train"): 20,
        (4, "heldout"): 5,
    }


def test_no_problem_comes_twice_even_with_its_numbers_in_another_order(
    problems: list[Problem],
) -> None:
    assert (
        len({canonical(p) for p in problems})
        == len({p.problem_id for p in problems})
        == len(problems)
    )


def test_reserved_problems_are_others_and_change_no_other(problems: list[Problem]) -> None:
    tiers = [tier.model_copy(update={"num_reserved": 7}) for tier in PARAMS.tiers]
    more = list(Countdown(PARAMS.model_copy(update={"tiers": tiers})).problems())
    assert [p for p in more if p.split != "reserved"] == problems
    assert Counter(p.difficulty for p in more if p.split == "reserved") == {3: 7, 4: 7}
    assert len({p.problem_id for p in more}) == len(more)
    swapped = PARAMS.model_copy(update={"heldout_bucket": 1})
    heldout = {p.problem_id for p in Countdown(swapped).problems() if p.split == "heldout"}
    assert {p.problem_id for p in more if p.split == "reserved" and p.difficulty == 3} & heldout
    assert all(sorted(p.metadata["numbers"]) == numbers_of(p) for p in more)


def numbers_of(problem: Problem) -> list[int]:
    """The numbers of a problem, by its canonical name."""
    name = problem.problem_id.removeprefix("countdown:").partition(">")[0]
    return [int(number) for number in name.split("-")]


def test_no_heldout_problem_has_a_twin_in_train(problems: list[Problem]) -> None:
    other_seed = Countdown(PARAMS.model_copy(update={"seed": 8}))
    for pool in (problems, list(other_seed.problems())):
        heldout = {canonical(p) for p in problems if p.split == "heldout"}
        assert not heldout & {canonical(p) for p in train(pool)}


def test_problems_and_demonstrations_follow_from_the_seed(problems: list[Problem]) -> None:
    again = Countdown(PARAMS)
    assert list(again.problems()) == problems
    for shape in STRATEGIES.values():
        one, two, other = (
            list(again.demonstrations(train(problems), shape, seed)) for seed in (1, 1, 2)
        )
        assert one == two
        assert one != other


def test_every_solution_is_correct_and_the_reference_is_among_them(
    source: Countdown, problems: list[Problem]
) -> None:
    for problem in problems:
        solutions = source.solutions(problem)
        assert problem.answer in solutions
        assert len(solutions) == len(set(solutions))
        assert {VERIFIER.verify(problem.metadata, solution) for solution in solutions} == {
            Verdict.CORRECT
        }


def test_a_target_is_never_one_of_the_numbers(problems: list[Problem]) -> None:
    assert not any(p.metadata["target"] in p.metadata["numbers"] for p in problems)


def test_every_demonstration_ends_in_the_answer_it_says_it_does(
    problems: list[Problem], demonstrations: list[StrategySettings]
) -> None:
    by_id = {p.problem_id: p for p in train(problems)}
    assert len(demonstrations) == 150
    for demonstration in demonstrations:
        thinking, cue, answer = demonstration.text.rpartition(FORMAT.cue)
        assert cue == FORMAT.cue
        verdict = VERIFIER.verify(by_id[demonstration.problem_id].metadata, answer)
        assert verdict is (Verdict.CORRECT if demonstration.is_correct else Verdict.INCORRECT)
        assert len(segments(thinking)) == demonstration.num_segments
    shown = {d.is_correct for d in demonstrations}
    assert shown == ({True} if demonstrations[0].strategy == "direct" else {True, False})


def test_every_attempt_of_a_demonstration_carries_the_true_verdict_or_none(
    problems: list[Problem], demonstrations: list[StrategySettings]
) -> None:
    by_id = {p.problem_id: p for p in problems}
    marks = Counter()
    for demonstration in demonstrations:
        problem = by_id[demonstration.problem_id]
        for segment in segments(demonstration.text.rpartition(FORMAT.cue)[0]):
            mark = closing_marker(segment, FORMAT.segment_ends)
            marks[mark] += 1
            if mark == UNJUDGED:
                continue
            verdict = VERIFIER.verify_attempt(
                problem.metadata, without_marker(segment, FORMAT.segment_ends)
            )
            assert FORMAT.self_verdicts[mark] == (verdict is Verdict.CORRECT)
            distance = int(segment.split()[-2]) - problem.metadata["target"]
            assert (distance > 0) == (mark in (">", ">>"))
            assert (abs(distance) > 8) == (mark in ("<<", ">>"))
    strategy = demonstrations[0].strategy
    assert set(marks) == {"direct": set(), "parallel": {UNJUDGED}}.get(
        strategy, set(FORMAT.self_verdicts)
    )


def test_a_marker_without_a_verdict_cuts_and_claims_nothing() -> None:
    assert {*FORMAT.segment_ends} == {*FORMAT.self_verdicts, UNJUDGED}
    metadata = {"numbers": [3, 5, 7], "target": 36}
    assert VERIFIER.verify_attempt(metadata, "7 + 5 12 12 * 3 36") is Verdict.CORRECT


def test_parallel_answers_with_one_of_its_attempts_where_one_hits(
    source: Countdown, problems: list[Problem]
) -> None:
    by_id = {p.problem_id: p for p in problems}
    num_hits = 0
    for demonstration in source.demonstrations(train(problems), STRATEGIES["parallel"], seed=1):
        thinking, _, answer = demonstration.text.rpartition(f"{FORMAT.cue} ")
        attempts = [segment.removesuffix(" |") for segment in segments(thinking)]
        metadata = by_id[demonstration.problem_id].metadata
        if Verdict.CORRECT in [VERIFIER.verify(metadata, attempt) for attempt in attempts]:
            num_hits += 1
            assert demonstration.is_correct
            assert answer in attempts
    assert num_hits > 20


def test_search_never_writes_an_attempt_twice_and_finishes_with_a_first_step_before_the_next(
    source: Countdown, problems: list[Problem]
) -> None:
    for demonstration in source.demonstrations(train(problems), STRATEGIES["search"], seed=1):
        attempts = [
            segment.split()[:-1]
            for segment in segments(demonstration.text.rpartition(FORMAT.cue)[0])
        ]
        assert len({tuple(attempt) for attempt in attempts}) == len(attempts)
        runs = [
            list(group) for _, group in itertools.groupby(attempts, key=lambda attempt: attempt[:4])
        ]
        assert all(len(run) <= 3 for run in runs)
        assert len({tuple(run[0][:4]) for run in runs}) == len(runs)


def test_direct_answers_with_the_reference_at_once(
    source: Countdown, problems: list[Problem]
) -> None:
    by_id = {p.problem_id: p for p in problems}
    for demonstration in source.demonstrations(train(problems), STRATEGIES["direct"], seed=1):
        assert demonstration.text == f"# {by_id[demonstration.problem_id].answer}"


def test_every_word_is_one_token_and_comes_back(
    renderer: Renderer, problems: list[Problem], demonstrations: list[StrategySettings]
) -> None:
    for text in [*(p.prompt for p in problems), *(d.text for d in demonstrations)]:
        tokens = renderer.encode(text)
        assert renderer.words(tokens) == text.split()
        assert renderer.decode(tokens) == text.removeprefix("<bos> ")


def test_every_result_and_target_up_to_the_largest_has_a_token(renderer: Renderer) -> None:
    unknown = renderer.encode("<unk>")
    for number in range(PARAMS.max_result + 1):
        for word in (str(number), f"T{number}"):
            [token] = renderer.encode(word)
            assert [token] != unknown
            assert FORMAT.token_values[word] == number


def test_more_problems_than_there_are_is_bad_input() -> None:
    tier = CountdownTier(num_numbers=2, num_train=40, num_heldout=1, num_reserved=0)
    small = PARAMS.model_copy(update={"max_number": 3, "tiers": [tier]})
    with pytest.raises(
        BadInput, match="no more distinct problems with 2 numbers up to 3; still missing"
    ):
        list(Countdown(small).problems())


def segments(thinking: str) -> list[str]:
    """Cut at the markers, word by word."""
    cut: list[list[str]] = [[]]
    for word in thinking.split():
        cut[-1].append(word)
        if word in FORMAT.segment_ends:
            cut.append([])
    return [" ".join(words) for words in cut if words]
