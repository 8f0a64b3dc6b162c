"""What a sampler does, and the two ways the stages use one: think then answer, and answer from a
given prefix.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

from stages.pure.seeds import derive_seed


@dataclass(frozen=True)
class Request:
    """Sample one completion of `prompt_tokens`.

    Its draws depend on `seed` alone, not on its neighbours.
    """

    prompt_tokens: list[int]
    max_tokens: int
    seed: int
    stop_token: int | None = None
    """Sampling stops behind it, as it does behind the end of text."""


@dataclass(frozen=True)
class Completion:
    """Sampled tokens, the log-probability (nats) of each under the distribution drawn from.

    `is_ended` says that the last one is the end of text, and not a stop token or the last there was
    room for.
    """

    tokens: list[int]
    logprobs: list[float]
    is_ended: bool


class Sampler(Protocol):
    """A policy behind a sampling engine; prompt tokens it was given so far, and of these had in its
    prefix cache.
    """

    num_prompt_tokens: int
    num_cached_prompt_tokens: int

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Completion]:
        """Complete every request, in order.

        `on_tokens` is told the number of tokens of each completion as it finishes.
        """
        ...


@dataclass(frozen=True)
class Answering:
    """How an answer is asked for: the cue, and room for what follows it, end of text included.

    Writing the first of `cue_tokens` ends thinking; the rest of them follow always.
    """

    cue_tokens: list[int]
    answer_tokens: int


@dataclass(frozen=True)
class Trace:
    """A whole completion: thinking, cue, answer.

    Tokens in [forced_start, forced_end) were put there, not sampled.
    """

    tokens: list[int]
    logprobs: list[float]
    num_thinking_tokens: int
    forced_start: int
    forced_end: int
    finish_reason: Literal["stop", "forced", "length"]

    @property
    def is_cut(self) -> bool:
        """Whether the budget ended its thinking: the cue was put there from its first token on."""
        return self.num_thinking_tokens == self.forced_start < self.forced_end


def think_then_answer(
    sampler: Sampler,
    requests: Sequence[Request],
    answering: Answering,
    temperature: float,
    on_tokens: Callable[[int], None],
) -> list[Trace]:
    """Let the policy think for at most `max_tokens` of each request, then answer in at most
    `answer_tokens`.

    Thinking ends with the first token of the cue, where the policy writes it itself; it is given
    the others, and answers. Who is still thinking at the budget is cut there and given all of the
    cue. So every answer follows the same tokens. Who ends the text without a cue has not answered.
    """
    cue, stop = answering.cue_tokens, answering.cue_tokens[0]
    first = sampler.sample([replace(r, stop_token=stop) for r in requests], temperature, on_tokens)
    unfinished = [i for i, done in enumerate(first) if not done.is_ended]
    forced = {i: cue[1:] if first[i].tokens[-1:] == [stop] else cue for i in unfinished}
    pending = [
        Request(
            [*requests[i].prompt_tokens, *first[i].tokens, *forced[i]],
            answering.answer_tokens,
            answer_seed(requests[i].seed),
        )
        for i in unfinished
    ]
    rest = dict(zip(unfinished, sampler.sample(pending, temperature, on_tokens), strict=True))
    return [
        _answered(done, forced[i], rest[i], len(cue)) if i in rest else _unanswered(done)
        for i, done in enumerate(first)
    ]


class BudgetAnswer(NamedTuple):
    """The answer at a token budget: tokens behind the cue, and whether thinking was cut, there or
    at its own end.
    """

    tokens: list[int]
    is_forced: bool


def answer_at_budgets(
    sampler: Sampler,
    requests: Sequence[Request],
    *,
    budgets_tokens: Sequence[int],
    answering: Answering,
    temperature: float,
    on_tokens: Callable[[int], None],
) -> list[tuple[Trace, list[BudgetAnswer]]]:
    """Let the policy think and answer, then cut each trace at every budget and force an answer
    where it goes on.

    Returns:
        Each request's trace, and its answer at every budget.
    """
    traces = think_then_answer(
        sampler, requests, answering=answering, temperature=temperature, on_tokens=on_tokens
    )
    cuts = [
        (place, budget)
        for place, trace in enumerate(traces)
        for budget in budgets_tokens
        if not _is_answered(trace, budget, requests[place].max_tokens)
    ]
    pending = [
        _cut_request(requests[place], traces[place], budget, answering) for place, budget in cuts
    ]
    forced = dict(zip(cuts, sampler.sample(pending, temperature, on_tokens), strict=True))
    num_cue_tokens = len(answering.cue_tokens)
    return [
        (
            trace,
            [
                _budget_answer(trace, forced.get((place, budget)), num_cue_tokens)
                for budget in budgets_tokens
            ],
        )
        for place, trace in enumerate(traces)
    ]


def _cut_request(request: Request, trace: Trace, budget: int, answering: Answering) -> Request:
    prefix = [*request.prompt_tokens, *trace.tokens[:budget], *answering.cue_tokens]
    return Request(prefix, answering.answer_tokens, derive_seed("forced", request.seed, budget))


def _is_answered(trace: Trace, budget: int, longest: int) -> bool:
    """Whether the trace's own answer stands at this budget: it stopped thinking by then, or was
    forced just there.
    """
    return budget == longest or (trace.num_thinking_tokens <= budget and not trace.is_cut)


def _budget_answer(trace: Trace, forced: Completion | None, num_cue_tokens: int) -> BudgetAnswer:
    if forced:
        return BudgetAnswer(forced.tokens, is_forced=True)
    return BudgetAnswer(trace.tokens[trace.num_thinking_tokens + num_cue_tokens :], trace.is_cut)


def answer_seed(seed: int) -> int:
    """The seed of the answer to a completion whose thinking was drawn with `seed`: a stream of its
    own.
    """
    return derive_seed("answer", seed)


def _unanswered(first: Completion) -> Trace:
    num_tokens = len(first.tokens)
    return Trace(first.tokens, first.logprobs, num_tokens, num_tokens, num_tokens, "stop")


def _answered(first: Completion, forced: list[int], rest: Completion, num_cue_tokens: int) -> Trace:
    tokens = [*first.tokens, *forced, *rest.tokens]
    start = len(first.tokens) if forced else len(tokens)
    is_cut = len(forced) == num_cue_tokens
    return Trace(
        tokens=tokens,
        logprobs=[*first.logprobs, *[0.0] * len(forced), *rest.logprobs],
        num_thinking_tokens=len(first.tokens) + len(forced) - num_cue_tokens,
        forced_start=start,
        forced_end=start + len(forced),
        finish_reason="length" if not rest.is_ended else "forced" if is_cut else "stop",
    )
