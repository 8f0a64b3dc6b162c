"""Examples in the rows of a micro-batch, by hand: values stand where the model predicts them."""

import numpy as np
import pytest
import torch

from stages.engines.training.example import Example
from stages.engines.training.placed import place, places


def example(prompt: list[int], values: list[float], is_target: list[bool]) -> Example:
    """Log-probabilities and advantages are both `values`."""
    logprobs = np.array(values)
    targets = np.array(is_target)
    tokens = np.arange(len(values))
    return Example(np.array(prompt), tokens, logprobs, logprobs, targets, targets)


EXAMPLES = [
    example([1, 2], [-1.0, -2.0], [True, True]),
    example([1], [-3.0, -4.0, -5.0], [True, False, True]),
    example([1, 2, 3], [-6.0], [True]),
]
ROWS = [[1, 0], [2]]
"""The second example and then the first in one row, the third in another."""


def test_a_completion_is_predicted_one_place_before_it_stands() -> None:
    """Row 0 holds prompt 0, completion 1 to 3; prompt 4 and 5, completion 6 and 7."""
    assert list(places(EXAMPLES, ROWS)) == [
        (1, 0, slice(0, 3)),
        (0, 0, slice(5, 7)),
        (2, 1, slice(2, 3)),
    ]


def test_values_lie_where_they_are_predicted_and_zero_elsewhere() -> None:
    weights = np.array([0.5, 0.25, 2.0])
    corrections = [np.ones(2), np.array([1.0, 2.0, 3.0]), np.array([0.5])]
    placed = place(EXAMPLES, ROWS, weights, corrections, torch.zeros(2, 8, 11))
    assert placed.sampler_logprobs.tolist() == [
        [-3.0, -4.0, -5.0, 0, 0, -1.0, -2.0, 0],
        [0, 0, -6.0, 0, 0, 0, 0, 0],
    ]
    assert placed.advantages.tolist() == [
        [-3.0, -8.0, -15.0, 0, 0, -1.0, -2.0, 0],
        [0, 0, -3.0, 0, 0, 0, 0, 0],
    ]
    assert placed.weights.tolist() == [
        [0.25, 0, 0.25, 0, 0, 0.5, 0.5, 0],
        [0, 0, 2.0, 0, 0, 0, 0, 0],
    ]
    assert placed.is_target[0].tolist() == [True, False, True, False, False, True, True, False]
    assert placed.sequence[1].tolist() == [0, 0, 2, 0, 0, 0, 0, 0]
    assert not placed.is_anchored.any(), "without a reference nothing is held near it"
    assert not placed.reference_logprobs.any()


def test_numbers_have_the_precision_of_the_logits() -> None:
    logits = torch.zeros(2, 8, 11, dtype=torch.float64)
    placed = place(EXAMPLES, ROWS, np.ones(3), [np.ones(2), np.ones(3), np.ones(1)], logits)
    assert placed.advantages.dtype == torch.float64
    assert placed.is_target.dtype == torch.bool


def test_a_completion_without_a_prompt_is_predicted_from_nothing() -> None:
    with pytest.raises(AssertionError, match="predicted from the prompt"):
        list(places([example([], [-1.0], [True])], [[0]]))
