"""Think, then answer: every way a completion can end, played by a sampler that follows a script.

Origins by hand: 0 sampled, 1 cue, 2 environment.
"""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.contracts.origin import Origin
from stages.engines.sampler import Continuation, Request
from stages.engines.turns import (
    Answering,
    BudgetAnswer,
    Trace,
    answer_at_budgets,
    answer_seed,
    think_then_answer,
)

PROMPT, CUE, EOS = [101, 102], 50, 2
BUDGET, ANSWER_TOKENS = 6, 4
ANSWERING = Answering([CUE], ANSWER_TOKENS)


class Script:
    """A sampler that says what its script says, and keeps the requests."""

    def __init__(self, *calls: Sequence[list[int]]) -> None:
        self.num_prompt_tokens = self.num_cached_prompt_tokens = 0
        self.calls = list(calls)
        self.requests: list[list[Request]] = []

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        said = self.calls[len(self.requests)]
        self.requests.append(list(requests))
        assert len(said) == len(requests)
        for tokens, request in zip(said, requests, strict=True):
            assert len(tokens) <= request.max_tokens
            assert tokens[-1:] in ([EOS], [request.stop_token]) or len(tokens) == request.max_tokens
            assert request.stop_token not in tokens[:-1]
            on_tokens(len(tokens))
        return [Continuation(t, logprobs(t), is_ended=t[-1:] == [EOS]) for t in said]


def logprobs(tokens: list[int]) -> list[float]:
    return [-token / 8 for token in tokens]


def request(seed: int = 7) -> Request:
    return Request(PROMPT, BUDGET, seed)


def play(
    first: list[int], rest: list[int] | None, answering: Answering = ANSWERING
) -> tuple[Trace, Script]:
    script = Script([first], [] if rest is None else [rest])
    [trace] = think_then_answer(script, [request()], answering, 1.0, lambda _: None)
    return trace, script


def test_who_writes_the_cue_answers() -> None:
    trace, script = play([11, 12, CUE], [13, EOS])
    tokens = [11, 12, CUE, 13, EOS]
    assert trace == Trace(tokens, logprobs(tokens), [Origin.SAMPLED] * 5, 2, "stop")
    [request] = script.requests[1]
    assert request.prompt_tokens == [*PROMPT, 11, 12, CUE]
    assert request.max_tokens == ANSWER_TOKENS
    assert request.stop_token is None


def test_a_cue_at_the_very_end_of_the_budget_is_the_policys_own() -> None:
    trace, script = play([11, 12, 13, 14, 15, CUE], [16, EOS])
    assert (trace.num_thinking_tokens, trace.finish_reason) == (5, "stop")
    assert trace.origin == [0] * 8
    assert script.requests[1][0].max_tokens == ANSWER_TOKENS


def test_who_answers_at_once_has_not_thought() -> None:
    trace, _ = play([CUE], [16, EOS])
    assert (trace.num_thinking_tokens, trace.finish_reason) == (0, "stop")


def test_who_still_thinks_at_the_budget_is_given_the_cue() -> None:
    trace, script = play([11, 12, 13, 14, 15, 16], [17, EOS])
    assert trace.tokens == [11, 12, 13, 14, 15, 16, CUE, 17, EOS]
    assert trace.logprobs == [*logprobs([11, 12, 13, 14, 15, 16]), 0.0, *logprobs([17, EOS])]
    assert (trace.num_thinking_tokens, trace.origin) == (6, [0] * 6 + [1] + [0] * 2)
    assert trace.finish_reason == "forced"
    [request] = script.requests[1]
    assert request.prompt_tokens == [*PROMPT, 11, 12, 13, 14, 15, 16, CUE]
    assert request.max_tokens == ANSWER_TOKENS


LONG = Answering([CUE, 51, 52], ANSWER_TOKENS)


def test_who_writes_the_first_token_of_a_long_cue_is_given_the_others() -> None:
    trace, script = play([11, CUE], [17, EOS], LONG)
    assert trace.tokens == [11, CUE, 51, 52, 17, EOS]
    assert trace.logprobs == [*logprobs([11, CUE]), 0.0, 0.0, *logprobs([17, EOS])]
    assert (trace.num_thinking_tokens, trace.origin) == (1, [0, 0, 1, 1, 0, 0])
    assert (trace.finish_reason, trace.is_cut) == ("stop", False)
    assert script.requests[1][0].prompt_tokens == [*PROMPT, 11, CUE, 51, 52]


def test_who_still_thinks_at_the_budget_is_given_all_of_a_long_cue() -> None:
    trace, script = play([11, 12, 13, 14, 15, 16], [17, EOS], LONG)
    assert trace.tokens == [11, 12, 13, 14, 15, 16, CUE, 51, 52, 17, EOS]
    assert (trace.num_thinking_tokens, trace.origin) == (6, [0] * 6 + [1] * 3 + [0] * 2)
    assert (trace.finish_reason, trace.is_cut) == ("forced", True)
    assert script.requests[1][0].prompt_tokens == [*PROMPT, 11, 12, 13, 14, 15, 16, CUE, 51, 52]


@pytest.mark.parametrize(
    ("first", "num_forced"),
    [([11, 12, 13, 14, 15, 16], 1), ([11, 12, 13, 14, 15, CUE], 0)],
    ids=["forced", "own"],
)
def test_an_answer_that_never_ends_is_cut(first: list[int], num_forced: int) -> None:
    trace, _ = play(first, [21, 22, 23, 24])
    assert trace.finish_reason == "length"
    assert trace.origin.count(Origin.CUE) == num_forced
    assert len(trace.tokens) == BUDGET + num_forced + ANSWER_TOKENS


def test_who_ends_without_the_cue_has_only_thought() -> None:
    trace, script = play([11, 12, EOS], None)
    assert (trace.num_thinking_tokens, trace.finish_reason) == (3, "stop")
    assert trace.origin == [0] * 3
    assert trace.answer_tokens == []
    assert script.requests[1] == []


def test_the_answer_is_drawn_with_a_seed_of_its_own() -> None:
    _, script = play([11, 12, 13, 14, 15, 16], [EOS])
    [thinking], [answering] = script.requests
    assert thinking.seed == 7
    assert answering.seed == answer_seed(7) != 7
    assert len({answer_seed(seed) for seed in range(1000)} | set(range(1000))) == 2000


def test_every_token_sampled_is_reported() -> None:
    token_counts: list[int] = []
    script = Script([[11, EOS], [11, 12, 13, 14, 15, 16]], [[17, EOS]])
    think_then_answer(script, [request(1), request(2)], ANSWERING, 1.0, token_counts.append)
    assert token_counts == [2, 6, 2]


WORDS = st.sampled_from([11, 12])
LAST = st.sampled_from([EOS, CUE])
FIRSTS = st.builds(
    lambda t, last: [*t, last], st.lists(WORDS, max_size=BUDGET - 1), LAST
) | st.lists(WORDS, min_size=BUDGET, max_size=BUDGET)
ANSWERS = st.lists(WORDS, max_size=ANSWER_TOKENS - 1).map(lambda t: [*t, EOS]) | st.lists(
    WORDS, min_size=ANSWER_TOKENS, max_size=ANSWER_TOKENS
)


@given(st.lists(FIRSTS, max_size=6), st.sampled_from([[CUE], [CUE, 51], [CUE, 51, 52]]), st.data())
def test_what_is_trained_on_is_what_was_sampled(
    firsts: list[list[int]], cue: list[int], data: st.DataObject
) -> None:
    """Sampled token ids and log-probabilities are the sampler's own, in order, none left out."""
    rests = [data.draw(ANSWERS) for first in firsts if first[-1] != EOS]
    requests = [request(seed) for seed in range(len(firsts))]
    answering = Answering(cue, ANSWER_TOKENS)
    traces = think_then_answer(Script(firsts, rests), requests, answering, 1.0, lambda _: None)
    pending = iter(rests)
    for first, trace in zip(firsts, traces, strict=True):
        sampled = first if first[-1] == EOS else [*first, *next(pending)]
        written = [i for i, origin in enumerate(trace.origin) if origin == Origin.SAMPLED]
        assert [trace.tokens[i] for i in written] == sampled
        assert [trace.logprobs[i] for i in written] == logprobs(sampled)
        forced = [trace.tokens[i] for i, at in enumerate(trace.origin) if at == Origin.CUE]
        assert not any(trace.logprobs[i] for i in range(len(trace.tokens)) if i not in written)
        assert forced == (
            cue
            if trace.is_cut
            else cue[1:]
            if len(trace.tokens) > trace.num_thinking_tokens
            else []
        )
        assert trace.is_cut or trace.finish_reason != "forced"
        thinking, after = (
            trace.tokens[: trace.num_thinking_tokens],
            trace.tokens[trace.num_thinking_tokens :],
        )
        assert CUE not in thinking
        assert after[: len(cue)] in ([], cue)
        assert trace.answer_tokens == after[len(cue) :]
        assert trace.num_sampled_thinking_tokens == trace.num_thinking_tokens
        assert (trace.finish_reason == "length") == (trace.tokens[-1] != EOS)


TWO_TURNS = Trace(
    tokens=[11, 12, 91, 92, 93, 13, 14, CUE, 51, 15, EOS],
    logprobs=[-1.0, -1.0, 0.0, 0.0, 0.0, -1.0, -1.0, -1.0, 0.0, -1.0, -1.0],
    origin=[Origin(code) for code in (0, 0, 2, 2, 2, 0, 0, 0, 1, 0, 0)],
    num_thinking_tokens=7,
    finish_reason="stop",
)
"""Two tokens, a reply of three, two more; the cue begun by the policy; the answer."""


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (0, []),
        (1, [11]),
        (2, [11, 12, 91, 92, 93]),  # the reply is not paid for
        (3, [11, 12, 91, 92, 93, 13]),
        (4, [11, 12, 91, 92, 93, 13, 14]),
        (9, [11, 12, 91, 92, 93, 13, 14]),
    ],
)
def test_a_budget_counts_sampled_thinking_tokens(budget: int, expected: list[int]) -> None:
    assert TWO_TURNS.num_sampled_thinking_tokens == 4
    assert TWO_TURNS.thinking(budget) == expected


def test_the_answer_stands_behind_the_last_cue_token() -> None:
    assert TWO_TURNS.answer_tokens == [15, EOS]
    assert not TWO_TURNS.is_cut


def test_answers_at_budgets_by_hand() -> None:
    """One ends by itself, behind three tokens; the other is cut at the longest budget."""
    requests = [request(1), request(2)]
    script = Script(
        [[11, 12, 13, CUE], [21, 22, 23, 24, 25, 26]],
        [[14, EOS], [27, EOS]],
        [[31, EOS], [32, EOS], [33, EOS]],
    )
    (whole, own_answers), (cut, cut_answers) = answer_at_budgets(
        script,
        requests,
        budgets_tokens=[2, 3, 6],
        answering=ANSWERING,
        temperature=1.0,
        on_tokens=lambda _: None,
    )
    assert (whole.is_cut, cut.is_cut) == (False, True)
    assert own_answers == [
        BudgetAnswer([31, EOS], True),
        BudgetAnswer([14, EOS], False),
        BudgetAnswer([14, EOS], False),
    ]
    assert cut_answers == [
        BudgetAnswer([32, EOS], True),
        BudgetAnswer([33, EOS], True),
        BudgetAnswer([27, EOS], True),
    ]
    assert [pending.prompt_tokens for pending in script.requests[2]] == [
        [*PROMPT, 11, 12, CUE],
        [*PROMPT, 21, 22, CUE],
        [*PROMPT, 21, 22, 23, CUE],
    ]
    assert len({pending.seed for call in script.requests for pending in call}) == 7
