"""Attention of variable length: texts packed end to end, each seen by itself alone.

There is no mask over the row.

Fused kernels take rectangles. So each layer moves the tokens of texts about as long as each other
into a rectangle of their own (`stages.pure.packing.regroup`), attends there causally, and moves
them back: memory goes with the tokens, not with their square, and nothing is padded beside
attention itself. Texts in short rows stay where they are, under a mask: to move them would cost
more than it saves.

transformers hands what a model is called with down to its attention; one that says so
(`_supports_attention_backend`) takes ours, which is torch's own wherever no `segments` are given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from stages.pure.packing import cut, pack_mask, pack_positions, regroup

VARLEN = "knowhow_varlen"
MASKED_ROW_TOKENS = 256


class Slots(NamedTuple):
    """Where tokens of packed rows stand while they attend: in slots of rectangles.

    Tokens are counted row after row.
    """

    token_of_slot: Int[Tensor, " slot"]
    slot_of_token: Int[Tensor, " token"]
    empty_slots: Int[Tensor, " empty"]
    shapes: list[tuple[int, int]]
    """Of each rectangle: texts, and slots of each."""


def packed_inputs(
    model: PreTrainedModel, lengths: Sequence[Sequence[int]], width: int
) -> dict[str, Any]:
    """What a model takes beside the tokens of packed rows, [row, `width`].

    Each row is of texts as long as its `lengths` say.

    `width` may cut the last text of a row; tokens behind it are padding.
    """
    rows = [cut(row, width) for row in lengths]
    positions = torch.from_numpy(np.stack([pack_positions(row, width) for row in rows])).to(
        model.device
    )
    if width <= MASKED_ROW_TOKENS or model.config._attn_implementation != VARLEN:
        mask = torch.from_numpy(np.stack([pack_mask(row, width) for row in rows])).unsqueeze(1)
        return {"attention_mask": mask.to(model.device), "position_ids": positions}
    no_mask = torch.ones(
        1, 1, 1, 1, dtype=torch.bool, device=model.device
    )  # without one transformers would make one
    return {
        "attention_mask": no_mask,
        "position_ids": positions,
        "segments": _slots(rows, width, model.device),
    }


def _slots(rows: Sequence[Sequence[int]], width: int, device: torch.device) -> Slots:
    """Padding counts as a text: what it attends to is nobody's concern, but it must have a slot."""
    texts = [length for row in rows for length in (*row, width - sum(row)) if length]
    regrouped = regroup(texts)
    is_empty = np.ones(len(regrouped.token_of_slot), dtype=bool)
    is_empty[regrouped.slot_of_token] = False
    indices = (regrouped.token_of_slot, regrouped.slot_of_token, np.flatnonzero(is_empty))
    token_of_slot, slot_of_token, empty_slots = (
        torch.from_numpy(index).to(device) for index in indices
    )
    return Slots(token_of_slot, slot_of_token, empty_slots, regrouped.shapes)


class _Moved(torch.autograd.Function):
    """Rows of a matrix, by index.

    Backward a gather too, since no row is read twice but into slots that stay empty.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Float[Tensor, "source feature"],
        index: Int[Tensor, " taken"],
        back: Int[Tensor, " source"],
        unread: Int[Tensor, " unread"] | None,
    ) -> Float[Tensor, "taken feature"]:
        ctx.save_for_backward(back, unread)
        return rows.index_select(0, index)

    @staticmethod
    def backward(
        ctx: Any, *gradients: Float[Tensor, "taken feature"]
    ) -> tuple[Float[Tensor, "source feature"], None, None, None]:
        back, unread = ctx.saved_tensors
        gradient = gradients[0].index_select(0, back)
        if unread is not None:
            gradient.index_fill_(0, unread, 0.0)
        return gradient, None, None, None


def attend(
    module: nn.Module,
    query: Float[Tensor, "row head token feature"],
    key: Float[Tensor, "row key_head key_token feature"],
    value: Float[Tensor, "row key_head key_token feature"],
    attention_mask: Shaped[Tensor, "..."] | None,
    segments: Slots | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Float[Tensor, "row token head feature"], None]:
    """An attention function of transformers.

    From [row, head, token, feature] to [row, token, head, feature].
    """
    if segments is None:
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **rest
        )
        return attended
    num_rows, num_heads, width, _ = query.shape
    sizes = [texts * slots for texts, slots in segments.shapes]
    moved = [_moved_in(states, segments).split(sizes) for states in (query, key, value)]
    seen = [
        _attend_in(module, shape, states, query.shape[-1], sliding_window, rest)
        for shape, *states in zip(segments.shapes, *moved, strict=True)
    ]
    back = _Moved.apply(
        torch.cat(seen), segments.slot_of_token, segments.token_of_slot, segments.empty_slots
    )
    return back.view(num_rows, width, num_heads, -1), None


def _moved_in(
    states: Float[Tensor, "row head token feature"], segments: Slots
) -> Float[Tensor, "slot state"]:
    """[row, head, token, feature] to [slot, head and feature]."""
    flat = states.transpose(1, 2).flatten(0, 1).flatten(1)
    moved: Tensor = _Moved.apply(flat, segments.token_of_slot, segments.slot_of_token, None)
    return moved


def _attend_in(
    module: nn.Module,
    shape: tuple[int, int],
    states: Sequence[Float[Tensor, "slot _"]],
    width: int,
    window: int | None,
    rest: Mapping[str, Any],
) -> Float[Tensor, "slot state"]:
    """Causal attention in one rectangle, [slot, head and feature]; `width` is that of a head."""
    query, key, value = (each.view(*shape, -1, width).transpose(1, 2) for each in states)
    mask = None if window is None or shape[1] <= window else _near(shape[1], window, query.device)
    attended, _ = sdpa_attention_forward(module, query, key, value, mask, **rest)
    return attended.flatten(0, 1).flatten(1)


def _near(size: int, window: int, device: torch.device) -> Bool[Tensor, "1 1 query key"]:
    """Which keys each query sees: itself and those before it that are less than `window` away."""
    index = torch.arange(size, device=device)
    distance = index[:, None] - index[None, :]
    return ((distance >= 0) & (distance < window))[None, None]


AttentionInterface.register(VARLEN, attend)
AttentionMaskInterface.register(VARLEN, sdpa_mask)
