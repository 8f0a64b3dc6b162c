"""What is trained on, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

Tokens = Int[np.ndarray, " token"]
PerToken = Float[np.ndarray, " token"]
IsToken = Bool[np.ndarray, " token"]
PerTokenOfEach = Sequence[Float[np.ndarray, " _"]]
"""Of several examples, which differ in how many tokens they have."""


@dataclass(frozen=True, eq=False)
class Example:
    """One rollout to train on: its tokens, and what is known of each completion token.

    Two turns, by hand. The policy thinks and calls (7 8 9), an environment replies (20 21), the
    policy thinks on (10), is given a cue of two tokens whose first it wrote itself (30 31), and
    answers (11, end of text). What it did not write is context: no target, log-probability 0.

        origin                0    0    0    2    2    0    0    1    0    0
        completion_tokens     7    8    9   20   21   10   30   31   11    2    [token]
        is_target             1    1    1    0    0    1    1    0    1    1    [token]
        sampler_logprobs    -.7  -.1  -.2    0    0  -.9  -.3    0  -.5  -.1    [token]
        advantages           .5   .5   .5   .5   .5  -.2   1.   1.   1.   1.    [token]
        is_anchored           1    1    1    0    0    1    0    0    0    0    [token]

    The call's segment holds the reply that it earned, so that its advantage stands there too, and
    is not read. The KL to the reference here holds thinking alone.
    """

    prompt_tokens: Int[np.ndarray, " prompt"]
    completion_tokens: Tokens
    sampler_logprobs: PerToken
    """As drawn, nats."""
    advantages: PerToken
    """Of a token's segment; the likelihood's weights in an `offline` objective."""
    is_target: IsToken
    """Whether it is trained: whether it was sampled."""
    is_anchored: IsToken
    """Where the KL to the reference applies; a token that is no target is never anchored."""
    proximal_logprobs: PerToken | None = None
    """Of the policy that the round starts from, as the trainer computes them, where the loss needs
    them; they stay as they are.
    """
    reference_logprobs: PerToken | None = None
    """Of the reference, likewise."""

    @property
    def tokens(self) -> Int[np.ndarray, " example_token"]:
        """Prompt and completion."""
        return np.concatenate([self.prompt_tokens, self.completion_tokens])

    @property
    def num_tokens(self) -> int:
        """Of prompt and completion."""
        return len(self.prompt_tokens) + len(self.completion_tokens)

    @property
    def behaviour_logprobs(self) -> PerToken:
        """Of the policy below the ratio: the proximal one where there is any, else the sampler."""
        return self.sampler_logprobs if self.proximal_logprobs is None else self.proximal_logprobs

    @property
    def is_held(self) -> IsToken:
        """Where a KL term applies: nowhere without a reference."""
        return self.is_anchored & self.is_target & (self.reference_logprobs is not None)
