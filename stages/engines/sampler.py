"""What a sampler does, and the two ways the stages use one: think then answer, and answer from a given prefix."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from stages.pure.seeds import derive_seed


@dataclass(frozen=True)
class Request:
    """Sample one completion of `prompt_tokens`. Its draws depend on `seed` alone, not on its neighbours."""

    prompt_tokens: list[int]
    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Completion:
    """Sampled tokens, the log-probability (nats) of each under the distribution drawn from, and whether it ended."""

    tokens: list[int]
    logprobs: list[float]
    is_ended: bool


class Sampler(Protocol):
    """A policy behind a sampling engine."""

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Completion]:
        """Complete every request, in order; a completion ends with the policy's end-of-text token.

        `on_tokens` is told the number of tokens of each completion as it finishes.
        """
        ...


@dataclass(frozen=True)
class Answering:
    """How an answer is asked for: the cue's tokens, and room for what follows it, end of text included."""

    cue_tokens: list[int]
    answer_tokens: int


@dataclass(frozen=True)
class Trace:
    """A whole completion: thinking, cue, answer. Tokens in [forced_start, forced_end) were put there, not sampled."""

    tokens: list[int]
    logprobs: list[float]
    num_thinking_tokens: int
    forced_start: int
    forced_end: int
    finish_reason: Literal["stop", "forced", "length"]


def think_then_answer(
    sampler: Sampler,
    requests: Sequence[Request],
    answering: Answering,
    temperature: float,
    on_tokens: Callable[[int], None],
) -> list[Trace]:
    """Let the policy think for at most `max_tokens` of each request, then answer.

    Who stops thinking alone, by writing the cue, finishes the answer even past the budget. Who is still thinking
    at the budget is cut there, given the cue, and answers.
    """
    first = sampler.sample(requests, temperature, on_tokens)
    cues = [find(done.tokens, answering.cue_tokens) for done in first]
    unfinished = [i for i, done in enumerate(first) if not done.is_ended]
    pending, forced = [], {}
    for i in unfinished:
        cue = cues[i]
        forced[i] = answering.cue_tokens if cue is None else []
        answered = 0 if cue is None else len(first[i].tokens) - cue - len(answering.cue_tokens)
        prefix = [*requests[i].prompt_tokens, *first[i].tokens, *forced[i]]
        room = max(1, answering.answer_tokens - answered)
        pending.append(replace(requests[i], prompt_tokens=prefix, max_tokens=room, seed=answer_seed(requests[i].seed)))
    rest = dict(zip(unfinished, sampler.sample(pending, temperature, on_tokens), strict=True))
    return [_trace(done, cues[i], forced.get(i, []), rest.get(i)) for i, done in enumerate(first)]


def answer_seed(seed: int) -> int:
    """The seed of the forced answer of a completion drawn with `seed`: a stream of its own."""
    return derive_seed("answer", seed)


def find(tokens: Sequence[int], pattern: Sequence[int]) -> int | None:
    """Index of the first occurrence of `pattern`, None where there is none."""
    size = len(pattern)
    hits = (start for start in range(len(tokens) - size + 1) if list(tokens[start : start + size]) == list(pattern))
    return next(hits, None)


def _trace(first: Completion, cue: int | None, forced: list[int], rest: Completion | None) -> Trace:
    num_first = len(first.tokens)
    if rest is None:
        return Trace(
            first.tokens,
            first.logprobs,
            num_thinking_tokens=num_first if cue is None else cue,
            forced_start=num_first,
            forced_end=num_first,
            finish_reason="stop",
        )
    tokens = [*first.tokens, *forced, *rest.tokens]
    logprobs = [*first.logprobs, *[0.0] * len(forced), *rest.logprobs]
    start = num_first if forced else len(tokens)
    return Trace(
        tokens,
        logprobs,
        num_thinking_tokens=num_first if cue is None else cue,
        forced_start=start,
        forced_end=start + len(forced),
        finish_reason="length" if not rest.is_ended else "forced" if forced else "stop",
    )
