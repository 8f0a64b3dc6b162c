"""Think, then answer: every way a completion can end, played by a sampler that follows a script."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.engines.sampler import Completion, Request
from stages.engines.turns import Answering, Trace, answer_seed, think_then_answer

PROMPT, CUE, EOS = [101, 102], 50, 2
BUDGET, ANSWER_TOKENS = 6, 4
ANSWERING = Answering([CUE], ANSWER_TOKENS)


class Script:
    """A sampler that says what it is told to, and remembers what it was asked."""

    def __init__(self, *calls: Sequence[list[int]]) -> None:
        self.calls = list(calls)
        self.asked: list[list[Request]] = []

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Completion]:
        said = self.calls[len(self.asked)]
        self.asked.append(list(requests))
        assert len(said) == len(requests)
        for tokens, request in zip(said, requests, strict=True):
            assert len(tokens) <= request.max_tokens
            assert tokens[-1:] in ([EOS], [request.stop_token]) or len(tokens) == request.max_tokens
            assert request.stop_token not in tokens[:-1]
            on_tokens(len(tokens))
        return [Completion(t, logprobs(t), is_ended=t[-1:] == [EOS]) for t in said]


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
    assert trace == Trace([11, 12, CUE, 13, EOS], logprobs([11, 12, CUE, 13, EOS]), 2, 5, 5, "stop")
    [asked] = script.asked[1]
    assert asked.prompt_tokens == [*PROMPT, 11, 12, CUE]
    assert asked.max_tokens == ANSWER_TOKENS
    assert asked.stop_token is None


def test_a_cue_at_the_very_end_of_the_budget_is_the_policys_own() -> None:
    trace, script = play([11, 12, 13, 14, 15, CUE], [16, EOS])
    assert (trace.num_thinking_tokens, trace.finish_reason) == (5, "stop")
    assert trace.forced_start == trace.forced_end
    assert script.asked[1][0].max_tokens == ANSWER_TOKENS


def test_who_answers_at_once_has_not_thought() -> None:
    trace, _ = play([CUE], [16, EOS])
    assert (trace.num_thinking_tokens, trace.finish_reason) == (0, "stop")


def test_who_still_thinks_at_the_budget_is_given_the_cue() -> None:
    trace, script = play([11, 12, 13, 14, 15, 16], [17, EOS])
    assert trace.tokens == [11, 12, 13, 14, 15, 16, CUE, 17, EOS]
    assert trace.logprobs == [*logprobs([11, 12, 13, 14, 15, 16]), 0.0, *logprobs([17, EOS])]
    assert (trace.num_thinking_tokens, trace.forced_start, trace.forced_end) == (6, 6, 7)
    assert trace.finish_reason == "forced"
    [asked] = script.asked[1]
    assert asked.prompt_tokens == [*PROMPT, 11, 12, 13, 14, 15, 16, CUE]
    assert asked.max_tokens == ANSWER_TOKENS


LONG = Answering([CUE, 51, 52], ANSWER_TOKENS)


def test_who_writes_the_first_token_of_a_long_cue_is_given_the_others() -> None:
    trace, script = play([11, CUE], [17, EOS], LONG)
    assert trace.tokens == [11, CUE, 51, 52, 17, EOS]
    assert trace.logprobs == [*logprobs([11, CUE]), 0.0, 0.0, *logprobs([17, EOS])]
    assert (trace.num_thinking_tokens, trace.forced_start, trace.forced_end) == (1, 2, 4)
    assert (trace.finish_reason, trace.is_cut) == ("stop", False)
    assert script.asked[1][0].prompt_tokens == [*PROMPT, 11, CUE, 51, 52]


def test_who_still_thinks_at_the_budget_is_given_all_of_a_long_cue() -> None:
    trace, script = play([11, 12, 13, 14, 15, 16], [17, EOS], LONG)
    assert trace.tokens == [11, 12, 13, 14, 15, 16, CUE, 51, 52, 17, EOS]
    assert (trace.num_thinking_tokens, trace.forced_start, trace.forced_end) == (6, 6, 9)
    assert (trace.finish_reason, trace.is_cut) == ("forced", True)
    assert script.asked[1][0].prompt_tokens == [*PROMPT, 11, 12, 13, 14, 15, 16, CUE, 51, 52]


@pytest.mark.parametrize(
    ("first", "num_forced"),
    [([11, 12, 13, 14, 15, 16], 1), ([11, 12, 13, 14, 15, CUE], 0)],
    ids=["forced", "own"],
)
def test_an_answer_that_never_ends_is_cut(first: list[int], num_forced: int) -> None:
    trace, _ = play(first, [21, 22, 23, 24])
    assert trace.finish_reason == "length"
    assert trace.forced_end - trace.forced_start == num_forced
    assert len(trace.tokens) == BUDGET + num_forced + ANSWER_TOKENS


def test_who_ends_without_the_cue_has_only_thought() -> None:
    trace, script = play([11, 12, EOS], None)
    assert (trace.num_thinking_tokens, trace.finish_reason) == (3, "stop")
    assert trace.forced_start == trace.forced_end == 3
    assert script.asked[1] == []


def test_the_answer_is_drawn_with_a_seed_of_its_own() -> None:
    _, script = play([11, 12, 13, 14, 15, 16], [EOS])
    [thinking], [answering] = script.asked
    assert thinking.seed == 7
    assert answering.seed == answer_seed(7) != 7
    assert len({answer_seed(seed) for seed in range(1000)} | set(range(1000))) == 2000


def test_every_token_sampled_is_reported() -> None:
    told: list[int] = []
    script = Script([[11, EOS], [11, 12, 13, 14, 15, 16]], [[17, EOS]])
    think_then_answer(script, [request(1), request(2)], ANSWERING, 1.0, told.append)
    assert told == [2, 6, 2]


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
    """Token ids and log-probabilities outside the forced span are the sampler's own, in order, none
    left out.
    """
    rests = [data.draw(ANSWERS) for first in firsts if first[-1] != EOS]
    requests = [request(seed) for seed in range(len(firsts))]
    answering = Answering(cue, ANSWER_TOKENS)
    traces = think_then_answer(Script(firsts, rests), requests, answering, 1.0, lambda _: None)
    pending = iter(rests)
    for first, trace in zip(firsts, traces, strict=True):
        sampled = first if first[-1] == EOS else [*first, *next(pending)]
        own = [*range(trace.forced_start), *range(trace.forced_end, len(trace.tokens))]
        assert [trace.tokens[i] for i in own] == sampled
        assert [trace.logprobs[i] for i in own] == logprobs(sampled)
        forced = trace.tokens[trace.forced_start : trace.forced_end]
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
        assert (trace.finish_reason == "length") == (trace.tokens[-1] != EOS)
