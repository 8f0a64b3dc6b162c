"""Estimators by sampled answers, at every boundary of a rollout or at a random share of them."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from stages.contracts.params.recipes.probe import AnswerEntropy, Continued, ForcedAnswer
from stages.engines.device import exclusive_device
from stages.engines.inference import open_samplers
from stages.probe.forced_answers import (
    AnswerSampling,
    BoundaryAnswers,
    ProbedBoundary,
    answer_boundaries,
)
from stages.probe.inputs import ProbedRollout, ProbeInputs, Row, advancing, probe_row
from stages.pure.seeds import derive_seed

Sampled = ForcedAnswer | AnswerEntropy | Continued
Place = TypeVar("Place")
SEED_RANGE = 2**63  # of derive_seed
Boundary = tuple[ProbedRollout, int]
"""A boundary: its rollout, and its index there."""


def probe_by_sampling(inputs: ProbeInputs, settings: ForcedAnswer | AnswerEntropy) -> list[Row]:
    """The answers sampled behind the cue at each boundary that is probed."""
    asking = AnswerSampling(
        settings.num_probes, settings.answer_tokens, settings.temperature, settings.growth
    )

    def place(rollout: ProbedRollout, index: int) -> ProbedBoundary:
        prefix = rollout.tokens[: rollout.positions[index]]
        return ProbedBoundary([*prefix, *inputs.cue], rollout.seed, index)

    ask = partial(answer_boundaries, asking=asking, decode=inputs.renderer.decode)
    return sampled_rows(inputs, settings, place, ask)


def sampled_rows(
    inputs: ProbeInputs,
    settings: Sampled,
    place: Callable[[ProbedRollout, int], Place],
    ask: Callable[..., BoundaryAnswers],
) -> list[Row]:
    """The rows of an estimator that samples.

    `place` makes of a boundary what `ask` is called with: a sampler, a shard of places, and what to
    call with the tokens of each completion.
    """
    shards = shards_of(inputs.rollouts, settings)
    asked = [[place(*boundary) for boundary in shard] for shard in shards]
    most = sum(map(len, shards)) * settings.max_completions
    with (
        exclusive_device("probe"),
        open_samplers(inputs.policy, inputs.compute.inference) as samplers,
        advancing(inputs.facts, "completion", most) as advance,
    ):
        answered = dict(samplers.each(ask, asked, lambda num_tokens: advance(1, num_tokens)))
    num_given = sum(answers.num_prompt_tokens for answers in answered.values())
    num_cached = sum(answers.num_cached_prompt_tokens for answers in answered.values())
    inputs.facts.count(cached_prompt_frac=num_cached / max(1, num_given))
    rows = []
    for number, shard in enumerate(shards):
        for (rollout, index), answers in zip(shard, answered[number].answers, strict=True):
            texts, logprobs = [a.text for a in answers], [a.logprob for a in answers]
            rows.append(probe_row(rollout, index, settings, texts, logprobs))
    return rows


def shards_of(rollouts: list[ProbedRollout], settings: Sampled) -> list[list[Boundary]]:
    """The boundaries to probe, in prefix order, so that the engine's prefix cache serves."""
    size = settings.shard_rollouts or max(1, len(rollouts))
    shards = []
    for start in range(0, len(rollouts), size):
        shard: list[Boundary] = []
        for rollout in rollouts[start : start + size]:
            drawn = draw_boundaries(len(rollout.boundaries), rollout.seed, settings.inner_frac)
            shard += [(rollout, index) for index in drawn]
        shards.append(shard)
    return shards


def draw_boundaries(num_boundaries: int, seed: int, inner_frac: float | None) -> list[int]:
    """The first boundary, the last, and each of those between with chance `inner_frac`.

    All where it is None.
    """
    last = num_boundaries - 1
    return [
        index
        for index in range(num_boundaries)
        if inner_frac is None
        or index in (0, last)
        or derive_seed("boundary", seed, index) < inner_frac * SEED_RANGE
    ]
