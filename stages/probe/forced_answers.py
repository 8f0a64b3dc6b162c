"""Answers sampled at many prefixes: as many as a recipe asks, or as a pilot finds needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from stages.contracts.params.recipes.probe import AdaptiveProbes
from stages.engines.sampler import Request, Sampler
from stages.pure.agreement import answer_counts, answers_needed
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
    """Sample `num_probes` answers at every place, or with `adaptive` as many as a pilot asks for.

    The pilot is `num_probes` answers of its own. They say how many are needed for a standard error
    of success of `max_stderr`, for some choice of the correct answers (`widest_variance`): no
    verdict is needed, and where wrong answers differ more are drawn than verdicts would ask for.
    One decision is taken, and the pilot is in no estimate: the number drawn does not depend on the
    answers that count, so that success is without bias, whatever wrong answers there are.

    The i-th answer at a place has a seed of its own, so its draws do not depend on how many are
    taken, or elsewhere.

    Returns:
        The answers of each place that count, in the order they were drawn.
    """
    counts = [asking.num_probes] * len(places)
    if asking.adaptive:
        pilots = _drawn(sampler, places, counts, asking, decode, on_tokens, "pilot")
        counts = [_num_needed(answers, asking, asking.adaptive) for answers in pilots]
    return _drawn(sampler, places, counts, asking, decode, on_tokens, "probe")


def _num_needed(
    pilot: Sequence[SampledAnswer], asking: AnswerSampling, adaptive: AdaptiveProbes
) -> int:
    needed = answers_needed(answer_counts([one.text for one in pilot]), adaptive.max_stderr)
    return min(max(needed, asking.num_probes), adaptive.max_probes)


def _drawn(
    sampler: Sampler,
    places: Sequence[ProbedBoundary],
    counts: Sequence[int],
    asking: AnswerSampling,
    decode: Callable[[Sequence[int]], str],
    on_tokens: Callable[[int], None],
    stream: str,
) -> list[list[SampledAnswer]]:
    """So many answers at each place, their seeds from the `stream` of that name."""
    requests = [
        Request(
            place.prompt_tokens,
            asking.answer_tokens,
            derive_seed(stream, place.rollout_seed, place.boundary_index, index),
        )
        for place, count in zip(places, counts, strict=True)
        for index in range(count)
    ]
    done = iter(sampler.sample(requests, asking.temperature, on_tokens))
    return [
        [
            SampledAnswer(decode(completion.tokens), float(np.sum(completion.logprobs)))
            for completion in islice(done, count)
        ]
        for count in counts
    ]
