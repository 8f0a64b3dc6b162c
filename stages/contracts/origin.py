"""Where a token of a completion comes from: what the column `rollouts.token_origin` may say."""

from collections.abc import Sequence
from enum import IntEnum


class Origin(IntEnum):
    """Who put a token there.

    What others call `loss_mask` (TitanRL, prime-rl) or `completion_mask` (TRL) is 1 where a token's
    origin is `SAMPLED`.
    """

    SAMPLED = 0
    """The policy: trained, and counted against budgets."""
    CUE = 1
    """The sampler, to ask for an answer. A cue's first token may be the policy's own."""
    ENVIRONMENT = 2
    """What the policy acts on: a reply to what it wrote."""


def answer_start(origin: Sequence[int], num_thinking_tokens: int) -> int:
    """Where the answer starts in a completion: behind the cue that ends its thinking.

    That is behind the last cue token, or behind the one token of a cue that the policy wrote all of
    itself; at the end of a completion that never answers.
    """
    start = min(num_thinking_tokens + 1, len(origin))
    for place in range(len(origin) - 1, start - 1, -1):
        if origin[place] == Origin.CUE:
            return place + 1
    return start
