"""Only what is sampled behind the cue counts; a pilot says how many answers do, and is none."""

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.contracts.params.recipes.probe import AdaptiveProbes
from stages.engines.sampler import Continuation, Request
from stages.probe.forced_answers import AnswerSampling, ProbedBoundary, sample_answers
from stages.pure.agreement import answer_counts, answers_needed

CUE, TRUTH = 50, 42
ADAPTIVE = AdaptiveProbes(max_probes=10, max_stderr=0.2)


class Table:
    """A policy that answers one token, drawn by the request's seed.

    Which there are the token before the cue says.
    """

    def __init__(self, answers: dict[int, Sequence[int]]) -> None:
        self.num_prompt_tokens = self.num_cached_prompt_tokens = 0
        self.answers = answers
        self.calls: list[list[Request]] = []
        self.temperatures: list[float] = []

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        self.calls.append(list(requests))
        self.temperatures.append(temperature)
        done = []
        for request in requests:
            assert request.prompt_tokens[-1] == CUE
            on_tokens(1)
            token = random.Random(request.seed).choice(self.answers[request.prompt_tokens[-2]])
            done.append(Continuation([token], [-0.5], is_ended=True))
        return done


def decode(tokens: Sequence[int]) -> str:
    return " ".join(map(str, tokens))


def place(token: int, rollout_seed: int = 1, boundary_index: int = 0) -> ProbedBoundary:
    return ProbedBoundary([7, token, CUE], rollout_seed, boundary_index)


def texts(
    table: Table,
    places: Sequence[ProbedBoundary],
    adaptive: AdaptiveProbes | None,
    num_probes: int = 4,
) -> list[list[str]]:
    asking = AnswerSampling(num_probes, answer_tokens=3, temperature=1.0, adaptive=adaptive)
    return [
        [a.text for a in here]
        for here in sample_answers(table, places, asking, decode, lambda _: None)
    ]


def test_every_place_gets_its_answers_in_order() -> None:
    table = Table({1: [11], 2: [12]})
    asking = AnswerSampling(3, answer_tokens=3, temperature=1.0, adaptive=None)
    answers = sample_answers(table, [place(1), place(2)], asking, decode, lambda _: None)
    assert answers == [[("11", -0.5)] * 3, [("12", -0.5)] * 3]
    assert len(table.calls) == 1
    assert len({request.seed for request in table.calls[0][:3]}) == 3
    assert [request.prompt_tokens[1] for request in table.calls[0]] == [1, 1, 1, 2, 2, 2]


def test_what_stands_in_the_prefix_is_no_answer() -> None:
    """The truth was thought but is not said: reading the prefix as well would credit it."""
    assert texts(Table({TRUTH: [11]}), [place(TRUTH)], None) == [["11"] * 4]


def test_a_pilot_says_how_many_answers_count_and_is_none_of_them() -> None:
    """Agreement of 4 needs 5 / 30 / .04, five answers; two against two .3 / .04, eight."""
    table = Table({1: [11], 2: list(range(20, 24))})
    sure, doubtful = texts(table, [place(1), place(2)], ADAPTIVE)
    assert sure == ["11"] * 5
    pilots, counted = table.calls
    assert len(pilots) == 2 * 4
    assert len(counted) == 5 + len(doubtful)
    assert not {request.seed for request in pilots} & {request.seed for request in counted}
    drawn = [random.Random(request.seed).choice(table.answers[2]) for request in pilots[4:]]
    needed = answers_needed(answer_counts([*map(str, drawn)]), ADAPTIVE.max_stderr)
    assert len(doubtful) == needed > 5


def test_the_answers_that_count_are_those_of_a_fixed_number() -> None:
    """An answer's seed is its own: how many there are changes none, nor do other places."""
    table = Table({1: list(range(20)), 2: [12]})
    [few] = texts(table, [place(1)], None)
    _, more = texts(
        table, [place(2, rollout_seed=3), place(1)], AdaptiveProbes(max_probes=9, max_stderr=0.01)
    )
    assert len(more) == 9
    assert more[:4] == few
    assert texts(table, [place(1)], None, num_probes=9) == [more]


@given(st.integers(0, 99), st.integers(2, 5), st.integers(0, 12), st.floats(0.02, 0.4))
def test_as_many_are_drawn_as_the_bounds_allow(
    seed: int, num_probes: int, extra: int, max_stderr: float
) -> None:
    adaptive = AdaptiveProbes(max_probes=num_probes + extra, max_stderr=max_stderr)
    places = [place(1, seed, index) for index in range(4)]
    for drawn in texts(Table({1: [11, 11, 12, 13]}), places, adaptive, num_probes):
        assert num_probes <= len(drawn) <= adaptive.max_probes
        if len(drawn) < adaptive.max_probes:
            least = (num_probes + 1) / ((num_probes + 1) * (num_probes + 2))
            assert len(drawn) >= least / max_stderr**2


@pytest.mark.parametrize("num_wrong", [1, 2, 20])
@pytest.mark.parametrize("success", [0.1, 0.3])
def test_success_is_without_bias_however_many_wrong_answers_there_are(
    num_wrong: int, success: float
) -> None:
    """2,500 places, four answers to sixteen, until the error is .15."""
    number = round(1000 * (1 - success) / num_wrong)
    wrong = [token for token in range(100, 100 + num_wrong) for _ in range(number)]
    table = Table({1: [*wrong, *[TRUTH] * round(number * num_wrong * success / (1 - success))]})
    truth = table.answers[1].count(TRUTH) / len(table.answers[1])
    assert truth == pytest.approx(success, abs=1e-3)
    adaptive = AdaptiveProbes(max_probes=16, max_stderr=0.15)
    drawn = texts(table, [place(1, seed) for seed in range(2500)], adaptive)
    estimates = np.array([answers.count(str(TRUTH)) / len(answers) for answers in drawn])
    assert len({len(answers) for answers in drawn}) > 1
    standard_error = estimates.std() / math.sqrt(len(estimates))
    assert abs(estimates.mean() - truth) < 3 * standard_error


def test_no_places_ask_nothing() -> None:
    table = Table({})
    assert texts(table, [], ADAPTIVE) == []
    assert table.calls == [[], []]


def test_every_token_sampled_is_reported() -> None:
    token_counts: list[int] = []
    asking = AnswerSampling(4, answer_tokens=3, temperature=1.0, adaptive=None)
    sample_answers(Table({1: [11]}), [place(1)], asking, decode, token_counts.append)
    assert token_counts == [1] * 4
    token_counts.clear()
    asking = AnswerSampling(4, answer_tokens=3, temperature=1.0, adaptive=ADAPTIVE)
    sample_answers(Table({1: [11]}), [place(1)], asking, decode, token_counts.append)
    assert token_counts == [1] * (4 + 5)  # a pilot's too


def test_temperature_and_room_reach_the_sampler() -> None:
    table = Table({1: [11]})
    asking = AnswerSampling(4, answer_tokens=3, temperature=0.7, adaptive=ADAPTIVE)
    sample_answers(table, [place(1)], asking, decode, lambda _: None)
    assert table.temperatures == [0.7, 0.7]
    assert {(request.max_tokens, request.stop_token) for request in table.calls[0]} == {(3, None)}


@pytest.mark.parametrize("max_probes", [4, 6, 9])
def test_the_last_draw_stops_at_the_most(max_probes: int) -> None:
    adaptive = AdaptiveProbes(max_probes=max_probes, max_stderr=1e-9)
    [drawn] = texts(Table({1: list(range(30))}), [place(1)], adaptive)
    assert len(drawn) == max_probes
