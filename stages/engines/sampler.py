"""What a sampler does: one completion of each prompt. `stages.engines.samplers` has one a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Request:
    """Sample one completion of `prompt_tokens`.

    Its draws depend on `seed` alone, not on its neighbours.
    """

    prompt_tokens: list[int]
    max_tokens: int
    seed: int
    stop_token: int | None = None
    """Sampling stops behind it, as it does behind the end of text."""


@dataclass(frozen=True)
class Continuation:
    """Sampled tokens, the log-probability (nats) of each under the distribution drawn from.

    `is_ended` says that the last one is the end of text, and not a stop token or the last there was
    room for.
    """

    tokens: list[int]
    logprobs: list[float]
    is_ended: bool


@runtime_checkable
class Sampler(Protocol):
    """A policy behind a sampling engine.

    It counts the prompt tokens that it was given so far, and of these those in its prefix cache.
    """

    num_prompt_tokens: int
    num_cached_prompt_tokens: int

    def sample(
        self, requests: Sequence[Request], temperature: float, on_tokens: Callable[[int], None]
    ) -> list[Continuation]:
        """Complete every request, in order.

        `on_tokens` is called with the number of tokens of each completion as it finishes.
        """
        ...
