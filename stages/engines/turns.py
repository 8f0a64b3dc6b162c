"""How the stages use a sampler: think then answer, and answer from thinking cut at a budget.

Budgets count the thinking tokens that were sampled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from stages.contracts.origin import Origin, answer_start
from stages.engines.sampler import Continuation, Request, Sampler
from stages.pure.seeds import derive_seed


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

    Each token has its origin; its log-probability, nats, is 0 where it was not sampled.
    `num_thinking_tokens` stand before the answer's cue, whoever put them there.
    """

    tokens: list[int]
    logprobs: list[float]
    origin: list[Origin]
    num_thinking_tokens: int
    finish_reason: Literal["stop", "forced", "length"]

    @property
    def is_cut(self) -> bool:
        """Whether the budget ended its thinking: the cue was put there from its first token on."""
        return self.origin[self.num_thinking_tokens :][:1] == [Origin.CUE]

    @property
    def num_sampled_thinking_tokens(self) -> int:
        """What counts against a budget."""
        return self.origin[: self.num_thinking_tokens].count(Origin.SAMPLED)

    def thinking(self, budget_tokens: int) -> list[int]:
        """Its thinking as far as a budget goes.

        With what was put there behind the last token that the budget has room for.
        """
        origin = self.origin[: self.num_thinking_tokens]
        sampled = [place for place, put_by in enumerate(origin) if put_by == Origin.SAMPLED]
        return self.tokens[: [*sampled, len(origin)][min(budget_tokens, len(sampled))]]

    @property
    def answer_tokens(self) -> list[int]:
        """What follows the cue; nothing where it never answered."""
        return self.tokens[answer_start(self.origin, self.num_thinking_tokens) :]


def think_then_answer(
    sampler: Sampler,
    requests: Sequence[Request],
    answering: Answering,
    temperature: float,
    on_tokens: Callable[[int], None],
) -> list[Trace]:
    """Let the policy think for at most `max_tokens`, then answer in at most `answer_tokens`.

    Thinking ends with the first token of the cue, where the policy writes it itself; it is given
    the others, and answers. Thinking that goes on at the budget is cut there and given all of the
    cue. So every answer follows the same tokens. A text that ends without a cue has no answer.
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
    """The answer at a token budget: tokens behind the cue, and whether thinking was cut.

    There, or at the longest budget.
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
    """Let the policy think and answer, then force an answer at every budget that a trace passes.

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
    answered = []
    for place, trace in enumerate(traces):
        answers = [_budget_answer(trace, forced.get((place, budget))) for budget in budgets_tokens]
        answered.append((trace, answers))
    return answered


def _cut_request(request: Request, trace: Trace, budget: int, answering: Answering) -> Request:
    prefix = [*request.prompt_tokens, *trace.thinking(budget), *answering.cue_tokens]
    return Request(prefix, answering.answer_tokens, derive_seed("forced", request.seed, budget))


def _is_answered(trace: Trace, budget: int, longest: int) -> bool:
    """Whether its own answer stands at this budget: thinking had stopped, or was cut just there."""
    has_ended = trace.num_sampled_thinking_tokens <= budget and not trace.is_cut
    return budget == longest or has_ended


def _budget_answer(trace: Trace, forced: Continuation | None) -> BudgetAnswer:
    if forced:
        return BudgetAnswer(forced.tokens, is_forced=True)
    return BudgetAnswer(trace.answer_tokens, trace.is_cut)


def answer_seed(seed: int) -> int:
    """The seed of an answer, a stream of its own, where thinking was drawn with `seed`."""
    return derive_seed("answer", seed)


def _unanswered(first: Continuation) -> Trace:
    num_tokens = len(first.tokens)
    origin = [Origin.SAMPLED] * num_tokens
    return Trace(first.tokens, first.logprobs, origin, num_tokens, "stop")


def _answered(
    first: Continuation, forced: list[int], rest: Continuation, num_cue_tokens: int
) -> Trace:
    is_cut = len(forced) == num_cue_tokens
    return Trace(
        tokens=[*first.tokens, *forced, *rest.tokens],
        logprobs=[*first.logprobs, *[0.0] * len(forced), *rest.logprobs],
        origin=[
            *[Origin.SAMPLED] * len(first.tokens),
            *[Origin.CUE] * len(forced),
            *[Origin.SAMPLED] * len(rest.tokens),
        ],
        num_thinking_tokens=len(first.tokens) + len(forced) - num_cue_tokens,
        finish_reason="length" if not rest.is_ended else "forced" if is_cut else "stop",
    )
