"""Going on from a boundary: room, seeds and ends by hand, its value by enumeration."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from stages.engines.sampler import Continuation, Request
from stages.engines.turns import Answering
from stages.probe.continued import Continuing, OpenBoundary, continue_boundaries, open_boundary
from stages.probe.inputs import ProbedRollout

CUE, EOS, BUDGET = 50, 2, 3
FIND, MISS = 7, 8
RIGHT, WRONG = 11, 12
STOP_CHANCE, FIND_CHANCE, GUESS_CHANCE = 0.25, 0.4, 0.1


class Walk:
    """A policy that thinks FIND or MISS, or stops, and answers rightly where it has found.

    Where it has not it guesses. Every draw is by the request's seed.
    """

    def __init__(self) -> None:
        self.calls: list[list[Request]] = []
        self.temperatures: list[float] = []
        self.num_prompt_tokens = self.num_cached_prompt_tokens = 0

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        self.calls.append(list(requests))
        self.temperatures.append(temperature)
        done = []
        for request in requests:
            rng, prompt = random.Random(request.seed), request.prompt_tokens
            if prompt[-1] == CUE:
                is_right = FIND in prompt or rng.random() < GUESS_CHANCE
                tokens = [RIGHT if is_right else WRONG, EOS]
            else:
                tokens = self.thought(rng, request)
            self.num_prompt_tokens += len(prompt)
            on_tokens(len(tokens))
            done.append(Continuation(tokens, [-0.5] * len(tokens), tokens[-1] == EOS))
        return done

    def thought(self, rng: random.Random, request: Request) -> list[int]:
        assert request.stop_token == CUE
        tokens: list[int] = []
        while len(tokens) < request.max_tokens and tokens[-1:] != [CUE]:
            if rng.random() < STOP_CHANCE:
                tokens.append(CUE)
            else:
                tokens.append(FIND if rng.random() < FIND_CHANCE else MISS)
        return tokens


def decode(tokens: Sequence[int]) -> str:
    return " ".join(map(str, tokens))


def place(
    thought: Sequence[int], room: int, seed: int = 1, may_answer: bool = True
) -> OpenBoundary:
    return OpenBoundary([1, *thought], seed, len(thought), room, may_answer)


def answers(
    places: Sequence[OpenBoundary],
    num_probes: int = 4,
    walk: Walk | None = None,
    on_tokens: Callable[[int], None] = lambda _: None,
) -> list[list[str]]:
    done = continue_boundaries(
        walk or Walk(),
        places,
        how=Continuing(num_probes, Answering([CUE], 2), temperature=0.7),
        decode=decode,
        on_tokens=on_tokens,
    )
    assert [len(here) for here in done.answers] == [num_probes] * len(places)
    return [[one.text for one in here] for here in done.answers]


def value(has_found: bool, room: int) -> float:
    """The chance to be right in the end, by going through every course of thought."""
    if has_found:
        return 1.0
    if room == 0:
        return GUESS_CHANCE
    on = FIND_CHANCE * value(True, room - 1) + (1 - FIND_CHANCE) * value(False, room - 1)
    return STOP_CHANCE * GUESS_CHANCE + (1 - STOP_CHANCE) * on


@pytest.mark.parametrize("room", [0, 1, 2, 3])
@pytest.mark.parametrize("has_found", [False, True])
def test_the_mean_is_the_value_of_going_on(room: int, has_found: bool) -> None:
    places = [place([FIND if has_found else MISS], room, seed) for seed in range(2000)]
    rewards = np.array([[text.startswith(str(RIGHT)) for text in here] for here in answers(places)])
    truth = value(has_found, room)
    spread = max(np.sqrt(truth * (1 - truth) / rewards.size), 1e-12)
    assert abs(rewards.mean() - truth) < 3 * spread


def test_to_go_on_is_worth_more_than_to_answer_at_once() -> None:
    assert value(False, 3) > value(False, 1) > value(False, 0) == GUESS_CHANCE


def test_a_boundary_has_what_is_left_of_the_budget_and_the_last_has_none() -> None:
    """Of four completion tokens one is an environment's."""
    tokens = [1, 2, MISS, 9, MISS, MISS]
    rollout = ProbedRollout("r", "p", 5, 2, tokens, [0, 2, 4], [0, 1, 3], has_answer=True)
    opened = [open_boundary(6, rollout, index) for index in range(3)]
    assert opened == [
        OpenBoundary([1, 2], 5, 0, 6, True),
        OpenBoundary([1, 2, MISS, 9], 5, 1, 5, True),
        OpenBoundary(tokens, 5, 2, 0, True),
    ]


def test_a_text_that_ended_without_an_answer_is_worth_nothing() -> None:
    rollout = ProbedRollout("r", "p", 5, 1, [1, MISS, EOS], [0, 2], [0, 2], has_answer=False)
    first, last = (open_boundary(BUDGET, rollout, index) for index in range(2))
    assert (first.may_answer, last.may_answer) == (True, False)
    walk = Walk()
    assert answers([last], walk=walk) == [[""] * 4]
    assert walk.calls[0] == []


def test_every_place_keeps_its_own_answers() -> None:
    """Places that go on, that answer at once and that cannot, in turn, are each as alone."""
    places = [
        place([MISS], 2),
        place([MISS, FIND], 0),
        place([EOS], 0, may_answer=False),
        place([], 3, seed=4),
        place([MISS, MISS], 0, seed=2),
    ]
    together = answers(places)
    assert together == [answers([one])[0] for one in places]
    assert together[1] == [f"{RIGHT} {EOS}"] * 4
    assert answers(places, 9)[0][:4] == together[0]


def test_continuations_have_seeds_of_their_own_and_room_reaches_the_sampler() -> None:
    walk, counted = Walk(), []
    answers([place([MISS], 2), place([MISS], 1, seed=3)], walk=walk, on_tokens=counted.append)
    thinking, answering, at_once = walk.calls
    assert [request.max_tokens for request in thinking] == [2] * 4 + [1] * 4
    assert len({request.seed for request in thinking}) == 8
    assert not {r.seed for r in thinking} & {r.seed for r in answering}
    assert at_once == []
    assert walk.temperatures == [0.7] * 3
    assert len(counted) == 16  # of each continuation its thinking, and its answer
    assert Counter(r.max_tokens for r in answering) == {2: 8}


def test_the_last_boundary_is_given_all_of_the_cue() -> None:
    walk = Walk()
    answers([place([MISS, MISS, MISS], 0)], walk=walk)
    assert {tuple(request.prompt_tokens) for request in walk.calls[-1]} == {
        (1, MISS, MISS, MISS, CUE)
    }
