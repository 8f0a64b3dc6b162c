"""Examples laid out by hand: each value where the model predicts its token, as what it is."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from stages.engines.training.example import Example
from stages.engines.training.placed import Placed, place, places


def example(prompt: list[int], completion: list[int], first: float) -> Example:
    """Its numbers go on from `first`; the second of its tokens was not sampled."""
    values = first + np.arange(len(completion))
    is_target = np.arange(len(completion)) != 1
    return Example(
        np.array(prompt), np.array(completion), -values, values, is_target, values > first
    )


EXAMPLES = [example([5, 6], [7, 8, 9], 1.0), example([5], [7], 10.0), example([5, 6, 4], [7], 20.0)]
ROWS = [[2, 1], [0]]
"""Two examples end to end, and one."""
WEIGHTS = np.array([0.5, 2.0, 3.0])
CORRECTIONS = [np.array([1.0, 1.0, 2.0]), np.ones(1), np.full(1, 0.5)]


def laid(examples: list[Example] = EXAMPLES, dtype: torch.dtype = torch.float32) -> Placed:
    logits = torch.zeros(2, 5, 11, dtype=dtype)
    return place(examples, ROWS, WEIGHTS, CORRECTIONS, logits)


def test_a_completion_is_predicted_from_one_token_before() -> None:
    assert list(places(EXAMPLES, ROWS)) == [
        (2, 0, slice(2, 3)),
        (1, 0, slice(4, 5)),
        (0, 1, slice(1, 4)),
    ]


def test_values_by_hand() -> None:
    placed = laid()
    assert placed.advantages.tolist() == [[0, 0, 10, 0, 10], [0, 1, 2, 6, 0]]
    assert placed.weights.tolist() == [[0, 0, 3, 0, 2], [0, 0.5, 0, 0.5, 0]]
    assert placed.sampler_logprobs.tolist() == [[0, 0, -20, 0, -10], [0, -1, -2, -3, 0]]
    assert placed.is_target.tolist() == [[0, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    assert placed.sequence.tolist() == [[0, 0, 2, 0, 1], [0, 0, 0, 0, 0]]
    assert not placed.is_anchored.any()
    assert not placed.reference_logprobs.any()
    assert torch.equal(placed.behaviour_logprobs, placed.sampler_logprobs)


def test_what_is_prepared_takes_its_place() -> None:
    prepared = [
        replace(e, proximal_logprobs=e.advantages - 50, reference_logprobs=e.advantages - 90)
        for e in EXAMPLES
    ]
    placed = laid(prepared)
    assert placed.behaviour_logprobs[1].tolist() == [0, -49, -48, -47, 0]
    assert placed.reference_logprobs[1].tolist() == [0, -89, -88, -87, 0]
    assert placed.is_anchored.tolist() == [[0] * 5, [0, 0, 0, 1, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_the_models_and_the_rest_is_what_it_is(dtype: torch.dtype) -> None:
    kinds = {field.name: getattr(laid(dtype=dtype), field.name).dtype for field in fields(Placed)}
    others = {"is_target": torch.bool, "is_anchored": torch.bool, "sequence": torch.long}
    assert kinds == {name: others.get(name, dtype) for name in kinds}
