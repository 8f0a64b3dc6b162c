"""Answers sampled at many prefixes: as many as a recipe asks, or as their agreement demands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stages.contracts.params.recipes.probe import AdaptiveProbes
from stages.engines.sampler import Request, Sampler
from stages.pure.agreement import answer_counts, widest_stderr
from stages.pure.seeds import derive_seed


class ProbedBoundary(NamedTuple):
    """A boundary at which answers are asked for.

    Tokens up to and with the cue, and the seed of its rollout.
    """

    prompt_tokens: list[int]
    rollout_seed: int
    boundary_index: int


class SampledAnswer(NamedTuple):
    """Text sampled behind the cue alone; the log-probability of its tokens, nats."""

    text: str
    logprob: float


@dataclass(frozen=True)
class AnswerSampling:
    """How answers are sampled. Without `adaptive` every place gets `num_probes`."""

    num_probes: int
    answer_tokens: int
    temperature: float
    adaptive: AdaptiveProbes | None


class BoundaryAnswers(NamedTuple):
    """The answers of each place, and of all prompt tokens those that the prefix cache had."""

    answers: list[list[SampledAnswer]]
    num_prompt_tokens: int
    num_cached_prompt_tokens: int


def answer_boundaries(
    sampler: Sampler,
    places: Sequence[ProbedBoundary],
    *,
    asking: AnswerSampling,
    decode: Callable[[Sequence[int]], str],
    on_tokens: Callable[[int], None],
) -> BoundaryAnswers:
    """`sample_answers`, and what the prefix cache saved."""
    given, cached = sampler.num_prompt_tokens, sampler.num_cached_prompt_tokens
    answers = sample_answers(sampler, places, asking, decode, on_tokens)
    return BoundaryAnswers(
        answers, sampler.num_prompt_tokens - given, sampler.num_cached_prompt_tokens - cached
    )


def sample_answers(
    sampler: Sampler,
    places: Sequence[ProbedBoundary],
    asking: AnswerSampling,
    decode: Callable[[Sequence[int]], str],
    on_tokens: Callable[[int], None],
) -> list[list[SampledAnswer]]:
    """Sample `num_probes` answers at every place, and as many again where `adaptive` has doubt.

    Doubt is a standard error of success above `max_stderr` for some choice of the correct answers
    (`widest_stderr`): no verdict is needed, and once it is gone the error of success is below
    `max_stderr` whatever the verdicts will be. That is the safe side: wrong answers that differ
    draw more than the verdicts would have asked for. Stopping at agreement pulls success towards 0
    and 1, in the same way at every boundary, so that a segment that changes nothing still earns
    nothing on average; recipes that need success itself without bias leave `adaptive` out.

    The i-th answer at a place has a seed of its own, so its draws do not depend on how many are
    taken, or elsewhere.

    Returns:
        The answers of each place, in the order they were drawn.
    """
    answers: list[list[SampledAnswer]] = [[] for _ in places]
    pending = list(range(len(places)))
    while pending:
        wanted = [
            (place, len(answers[place]) + i)
            for place in pending
            for i in range(_num_more(answers[place], asking))
        ]
        requests = [_request(places[place], probe, asking) for place, probe in wanted]
        for (place, _), completion in zip(
            wanted, sampler.sample(requests, asking.temperature, on_tokens), strict=True
        ):
            answers[place].append(
                SampledAnswer(decode(completion.tokens), float(np.sum(completion.logprobs)))
            )
        pending = [place for place in pending if _leave_doubt(answers[place], asking.adaptive)]
    return answers


def _num_more(answers: Sequence[SampledAnswer], asking: AnswerSampling) -> int:
    room = asking.adaptive.max_probes - len(answers) if asking.adaptive else asking.num_probes
    return min(asking.num_probes, room)


def _leave_doubt(answers: Sequence[SampledAnswer], adaptive: AdaptiveProbes | None) -> bool:
    if adaptive is None or len(answers) >= adaptive.max_probes:
        return False
    return widest_stderr(answer_counts([answer.text for answer in answers])) > adaptive.max_stderr


def _request(place: ProbedBoundary, probe: int, asking: AnswerSampling) -> Request:
    seed = derive_seed("probe", place.rollout_seed, place.boundary_index, probe)
    return Request(place.prompt_tokens, asking.answer_tokens, seed)
