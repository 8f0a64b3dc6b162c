"""Attention of packed texts is that of each text alone, forward and backward."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from fixtures.decoders import tiny_llama
from stages.engines import varlen
from stages.engines.varlen import attend, packed_inputs

LENGTHS = [[5, 3, 9], [1, 12]]
WIDTH = 20


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are moved into rectangles even in rows as short as these."""
    monkeypatch.setattr(varlen, "MASKED_ROW_TOKENS", 0)


def states(seed: int) -> Tensor:
    """Random values, [row, head, token, feature]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 4, WIDTH, 8, generator=generator).requires_grad_()


@pytest.fixture
def model() -> PreTrainedModel:
    return tiny_llama()


class Layer(nn.Module):
    """What transformers' attention asks of the layer that it serves."""

    is_causal = True
    num_key_value_groups = 1


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("window", [None, 4])
def test_a_text_attends_to_itself_alone(model: PreTrainedModel, window: int | None) -> None:
    packed = packed_inputs(model, LENGTHS, WIDTH)
    query, key, value = (states(seed) for seed in range(3))
    attended, _ = attend(
        Layer(), query, key, value, None, segments=packed["segments"], sliding_window=window
    )
    attended.square().sum().backward()
    gradient = query.grad
    assert gradient is not None
    for row, lengths in enumerate(LENGTHS):
        start = 0
        for length in lengths:
            span = slice(start, start + length)
            alone = [each[row : row + 1, :, span].detach() for each in (query, key, value)]
            alone[0].requires_grad_()
            index = torch.arange(length)
            distance = index[:, None] - index[None, :]
            mask = (distance >= 0) & (distance < (window or length))
            expected = nn.functional.scaled_dot_product_attention(*alone, attn_mask=mask)
            expected.square().sum().backward()
            assert torch.allclose(attended[row, span].transpose(0, 1), expected[0], atol=1e-6)
            assert torch.allclose(gradient[row, :, span], alone[0].grad[0], atol=1e-5)
            start += length


@pytest.mark.usefixtures("moved")
def test_positions_begin_anew_with_each_text(model: PreTrainedModel) -> None:
    positions = packed_inputs(model, LENGTHS, WIDTH)["position_ids"]
    assert positions[0, :17].tolist() == [*range(5), *range(3), *range(9)]
    assert positions[1, :13].tolist() == [0, *range(12)]


def test_short_rows_stay_where_they_are_under_a_mask(model: PreTrainedModel) -> None:
    packed = packed_inputs(model, LENGTHS, WIDTH)
    assert "segments" not in packed
    mask = packed["attention_mask"][0, 0].numpy()
    assert mask[4, :5].all()
    assert not mask[5, :5].any()
    assert np.array_equal(mask, np.tril(mask))


@pytest.mark.usefixtures("moved")
def test_moved_or_masked_a_model_says_the_same(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = torch.randint(0, 23, (2, WIDTH), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        moved = model(input_ids=tokens, **packed_inputs(model, LENGTHS, WIDTH)).logits
        monkeypatch.setattr(varlen, "MASKED_ROW_TOKENS", 256)
        masked = model(input_ids=tokens, **packed_inputs(model, LENGTHS, WIDTH)).logits
    for row, lengths in enumerate(LENGTHS):
        assert torch.allclose(moved[row, : sum(lengths)], masked[row, : sum(lengths)], atol=1e-5)
