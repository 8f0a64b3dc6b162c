"""Rollouts as benchmarks plan, count and train on them: rows of the table `rollouts`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from stages.contracts.origin import Origin
from stages.contracts.params.recipes.rollout import Rollout

if TYPE_CHECKING:
    from stages.engines.training.example import Example

Row = Mapping[str, Any]


def plan_rows(
    name: str, prompts: Sequence[list[int]], settings: Rollout
) -> Iterator[dict[str, Any]]:
    """What is known of the rollouts of round `name` before they are sampled, a group a prompt."""
    for number, prompt_tokens in enumerate(prompts):
        for index in range(settings.group_size):
            yield {
                "rollout_id": f"{name}/{number}/{index}",
                "problem_id": str(number),
                "sample_index": index,
                "policy_id": name,
                "prompt_tokens": prompt_tokens,
                "prompt_text": None,
                "seed": number * settings.group_size + index,
                "temperature": settings.temperature,
            }


def is_sampled(row: Row) -> Bool[np.ndarray, " token"]:
    """Of each completion token, whether the policy drew it."""
    return np.array(row["token_origin"]) == Origin.SAMPLED


def num_sampled(rows: Sequence[Row]) -> int:
    """Completion tokens that the policy drew."""
    return sum(int(is_sampled(row).sum()) for row in rows)


def example_of(row: Row, advantage: float) -> "Example":
    """A rollout as an update trains on it, all its tokens with one advantage."""
    from stages.engines.training.example import Example

    logprobs, is_target = np.array(row["sampler_logprobs"]), is_sampled(row)
    advantages = np.full(len(is_target), advantage)
    prompt, tokens = np.array(row["prompt_tokens"]), np.array(row["completion_tokens"])
    return Example(prompt, tokens, logprobs, advantages, is_target, is_target)
