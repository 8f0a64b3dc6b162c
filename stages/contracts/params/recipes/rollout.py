"""What params.yaml says of sampling: `recipes.<recipe>.rollout`."""

from typing import Annotated

from pydantic import Field

from stages.contracts.params.base import Count, Positive, Section


class Rollout(Section):
    """Sampling of one round.

    Thinking is cut at `budget_tokens` and the answer forced, never scored unfinished.
    """

    num_problems: Count
    difficulties: Annotated[list[int], Field(min_length=1)]
    group_size: Annotated[int, Field(ge=2)]
    budget_tokens: Count
    answer_tokens: Count
    temperature: Positive
    shard_rollouts: Count
