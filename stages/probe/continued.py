"""The estimator `continued`: the reward of going on from a boundary as the policy would.

The others ask what an answer at the boundary is worth. Here thinking goes on from there to the end
of the rollout's budget, and then comes the answer: the value V of a state, by as many continuations
as `num_probes` (VinePPO, arXiv 2410.01679, section 4). A segment that prepares what a later one
finds raises it at once.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from stages.contracts.params.recipes.probe import Continued
from stages.engines.sampler import Request, Sampler
from stages.engines.turns import Answering, Trace, think_then_answer
from stages.probe.forced_answers import BoundaryAnswers, SampledAnswer
from stages.probe.inputs import ProbedRollout, ProbeInputs, Row
from stages.probe.sampled import sampled_rows
from stages.pure.seeds import derive_seed

UNANSWERED = SampledAnswer("", 0.0)


class OpenBoundary(NamedTuple):
    """A boundary to go on from: tokens up to it, the seed of its rollout."""

    prompt_tokens: list[int]
    rollout_seed: int
    boundary_index: int
    room_tokens: int
    """Thinking tokens that may still be sampled; 0 where thinking is over."""
    may_answer: bool
    """Whether an answer can come: none does behind a text that ended without one."""


def probe_by_continuing(inputs: ProbeInputs, settings: Continued) -> list[Row]:
    """The answers at the end of continuations from each boundary."""
    answering = Answering(inputs.cue, settings.answer_tokens)
    ask = partial(
        continue_boundaries,
        num_probes=settings.num_probes,
        answering=answering,
        temperature=settings.temperature,
        decode=inputs.renderer.decode,
    )
    return sampled_rows(inputs, settings, partial(open_boundary, inputs.budget_tokens), ask)


def open_boundary(budget_tokens: int, rollout: ProbedRollout, index: int) -> OpenBoundary:
    """A boundary of a rollout with what is left of its budget; at the last thinking is over."""
    is_last = index == len(rollout.boundaries) - 1
    return OpenBoundary(
        rollout.tokens[: rollout.positions[index]],
        rollout.seed,
        index,
        0 if is_last else budget_tokens - rollout.sampled_tokens[index],
        rollout.has_answer or not is_last,
    )


def continue_boundaries(
    sampler: Sampler,
    places: Sequence[OpenBoundary],
    *,
    num_probes: int,
    answering: Answering,
    temperature: float,
    decode: Callable[[Sequence[int]], str],
    on_tokens: Callable[[int], None],
) -> BoundaryAnswers:
    """Go on from every place `num_probes` times, and answer; each time by a seed of its own.

    Where thinking is over the answer follows the cue at once: there V is the success of the answer,
    or 0 where there is none. The log-probability of an answer is given its continuation.
    """
    given, cached = sampler.num_prompt_tokens, sampler.num_cached_prompt_tokens
    thinking, over = (
        [
            (number, derive_seed("probe", place.rollout_seed, place.boundary_index, probe))
            for number, place in enumerate(places)
            if place.may_answer and bool(place.room_tokens) == has_room
            for probe in range(num_probes)
        ]
        for has_room in (True, False)
    )
    traces = think_then_answer(
        sampler,
        [
            Request(places[number].prompt_tokens, places[number].room_tokens, seed)
            for number, seed in thinking
        ],
        answering,
        temperature,
        on_tokens,
    )
    at_once = [
        Request(
            [*places[number].prompt_tokens, *answering.cue_tokens], answering.answer_tokens, seed
        )
        for number, seed in over
    ]
    answers: list[list[SampledAnswer]] = [
        [] if place.may_answer else [UNANSWERED] * num_probes for place in places
    ]
    for (number, _), trace in zip(thinking, traces, strict=True):
        answers[number].append(_answer_of(trace, decode))
    done = sampler.sample(at_once, temperature, on_tokens)
    for (number, _), completion in zip(over, done, strict=True):
        answers[number].append(
            SampledAnswer(decode(completion.tokens), float(sum(completion.logprobs)))
        )
    return BoundaryAnswers(
        answers, sampler.num_prompt_tokens - given, sampler.num_cached_prompt_tokens - cached
    )


def _answer_of(trace: Trace, decode: Callable[[Sequence[int]], str]) -> SampledAnswer:
    tokens = trace.answer_tokens
    logprobs = trace.logprobs[len(trace.tokens) - len(tokens) :]
    return SampledAnswer(decode(tokens), float(sum(logprobs)))
