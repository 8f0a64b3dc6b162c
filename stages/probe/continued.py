"""The estimator `continued`: the reward of going on from a boundary as the policy would.

The others ask what an answer at the boundary is worth. Here thinking goes on from there to the end
of the rollout's budget, and then comes the answer: the value V of a state, by as many continuations
as `num_probes` (VinePPO, arXiv 2410.01679, section 4). A segment that prepares what a later one
finds raises it at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, repeat
from typing import NamedTuple

from stages.contracts.params.recipes.probe import Continued
from stages.engines.sampler import Request, Sampler
from stages.engines.turns import Answering, think_then_answer
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
    how = Continuing(settings.num_probes, answering, settings.temperature)
    ask = partial(continue_boundaries, how=how, decode=inputs.renderer.decode)
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


@dataclass(frozen=True)
class Continuing:
    """How boundaries are gone on from: how often, and how an answer is asked for in the end."""

    num_probes: int
    answering: Answering
    temperature: float


def continue_boundaries(
    sampler: Sampler,
    places: Sequence[OpenBoundary],
    *,
    how: Continuing,
    decode: Callable[[Sequence[int]], str],
    on_tokens: Callable[[int], None],
) -> BoundaryAnswers:
    """Go on from every place `num_probes` times, and answer; each time by a seed of its own.

    Where thinking is over the answer follows the cue at once: there V is the success of the answer,
    or 0 where there is none. The log-probability of an answer is given its continuation.
    """
    given, cached = sampler.num_prompt_tokens, sampler.num_cached_prompt_tokens
    open_places = [place for place in places if place.may_answer and place.room_tokens]
    over = [place for place in places if place.may_answer and not place.room_tokens]
    traces = think_then_answer(
        sampler,
        [
            Request(place.prompt_tokens, place.room_tokens, seed)
            for place in open_places
            for seed in _seeds(place, how.num_probes)
        ],
        how.answering,
        how.temperature,
        on_tokens,
    )
    at_once = [
        Request(
            [*place.prompt_tokens, *how.answering.cue_tokens], how.answering.answer_tokens, seed
        )
        for place in over
        for seed in _seeds(place, how.num_probes)
    ]
    done = sampler.sample(at_once, how.temperature, on_tokens)
    thought = (_answer(trace.answer_tokens, trace.logprobs, decode) for trace in traces)
    said = (_answer(one.tokens, one.logprobs, decode) for one in done)
    answers = []
    for place in places:
        source = (
            (thought if place.room_tokens else said) if place.may_answer else repeat(UNANSWERED)
        )
        answers.append([*islice(source, how.num_probes)])
    return BoundaryAnswers(
        answers, sampler.num_prompt_tokens - given, sampler.num_cached_prompt_tokens - cached
    )


def _seeds(place: OpenBoundary, num_probes: int) -> list[int]:
    return [
        derive_seed("probe", place.rollout_seed, place.boundary_index, probe)
        for probe in range(num_probes)
    ]


def _answer(
    tokens: list[int], logprobs: list[float], decode: Callable[[Sequence[int]], str]
) -> SampledAnswer:
    """An answer by its tokens, which the last of the log-probabilities are of."""
    return SampledAnswer(decode(tokens), float(sum(logprobs[len(logprobs) - len(tokens) :])))
