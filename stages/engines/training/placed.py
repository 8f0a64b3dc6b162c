"""Examples laid out in the rows of a micro-batch, and their values where a model predicts them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from stages.engines.training.example import Example, PerToken, PerTokenOfEach

Rows = Sequence[Sequence[int]]
"""The examples in each row of a micro-batch, by their index in the minibatch."""
PerPosition = Float[Tensor, "row position"]


@dataclass(frozen=True, eq=False)
class Placed:
    """Per-token values of a micro-batch, each where the model predicts its token; 0 elsewhere."""

    sampler_logprobs: PerPosition
    behaviour_logprobs: PerPosition
    reference_logprobs: PerPosition
    advantages: PerPosition
    weights: PerPosition
    is_target: Bool[Tensor, "row position"]
    is_anchored: Bool[Tensor, "row position"]
    sequence: Int[Tensor, "row position"]
    """The example's index in the minibatch."""


def places(examples: Sequence[Example], rows: Rows) -> Iterator[tuple[int, int, slice]]:
    """Example, its row, and the positions at which the model predicts its completion."""
    for row, items in enumerate(rows):
        end = 0
        for item in items:
            assert len(examples[item].prompt_tokens), (
                "a completion's first token is predicted from the prompt"
            )
            start = end + len(examples[item].prompt_tokens) - 1
            yield item, row, slice(start, start + len(examples[item].completion_tokens))
            end += examples[item].num_tokens


def place(
    examples: Sequence[Example],
    rows: Rows,
    weights: Float[np.ndarray, " sequence"],
    corrections: PerTokenOfEach,
    logits: Float[Tensor, "row position vocabulary"],
) -> Placed:
    """The values of a micro-batch, numbers in the precision of the model's logits.

    `weights` are of a sequence's target tokens, `corrections` multiply its advantages.
    """
    height, width = logits.shape[:2]
    placed = list(places(examples, rows))
    at = [row * width + np.arange(where.start, where.stop) for _, row, where in placed]
    positions = torch.from_numpy(np.concatenate(at))

    def laid(
        values: Callable[[int, Example], Shaped[np.ndarray, " target"]], dtype: torch.dtype
    ) -> Shaped[Tensor, "row position"]:
        grid = torch.zeros(height * width, dtype=dtype)
        by_token = np.concatenate([values(item, examples[item]) for item, _, _ in placed])
        grid[positions] = torch.from_numpy(by_token).to(dtype)
        return grid.view(height, width).to(logits.device)

    number = logits.dtype
    return Placed(
        sampler_logprobs=laid(lambda _, e: e.sampler_logprobs, number),
        behaviour_logprobs=laid(lambda _, e: e.behaviour_logprobs, number),
        reference_logprobs=laid(lambda _, e: _or_zeros(e.reference_logprobs, e), number),
        advantages=laid(lambda item, e: e.advantages * corrections[item], number),
        weights=laid(lambda item, e: e.is_target * weights[item], number),
        is_target=laid(lambda _, e: e.is_target, torch.bool),
        is_anchored=laid(lambda _, e: e.is_held, torch.bool),
        sequence=laid(lambda item, e: np.full(len(e.is_target), item), torch.long),
    )


def _or_zeros(values: PerToken | None, example: Example) -> PerToken:
    return np.zeros(len(example.completion_tokens)) if values is None else values
