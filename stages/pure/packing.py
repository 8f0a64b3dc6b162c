"""Rows of different lengths to rectangles, and many probes of one trace to one row.

Indices and masks only.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

MAX_EMPTY_FRAC = 0.2
"""Of the slots of an item in a rectangle."""


def micro_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Split rows into groups whose padded size (rows x longest row) stays within `max_tokens`.

    Rows are taken from longest to shortest, ties by index, so padding is small and the split is a
    function of the lengths alone. A row longer than `max_tokens` gets a group of its own.

    Returns:
        Row indices, one list a group; every row exactly once.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    groups: list[list[int]] = []
    for row in order:
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= max_tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def balanced(sizes: Sequence[int], num_parts: int) -> list[list[int]]:
    """Deal pieces to bins so that their sums come near.

    From the largest down, each goes to the bin that has least so far.

    Returns:
        Indices of pieces, rising, one list a part; every piece exactly once.
    """
    bins: list[list[int]] = [[] for _ in range(num_parts)]
    sums = [0] * num_parts
    for piece in sorted(range(len(sizes)), key=lambda piece: (-sizes[piece], piece)):
        lightest = sums.index(min(sums))
        bins[lightest].append(piece)
        sums[lightest] += sizes[piece]
    return [sorted(lightest) for lightest in bins]


def pack(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Place items into rows of at most `row_tokens`.

    Each item, in order, goes into the first row with room for it.

    An item longer than `row_tokens` gets a row of its own.

    Returns:
        Item indices, one list a row; every item exactly once.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for item, length in enumerate(lengths):
        row = next((row for row, left in enumerate(room) if left >= length), None)
        if row is None:
            rows.append([item])
            room.append(row_tokens - length)
        else:
            rows[row].append(item)
            room[row] -= length
    return rows


def lay_out(
    lengths: Sequence[int], max_tokens: int, row_tokens: int | None
) -> list[list[list[int]]]:
    """Micro-batches of rows of items.

    A row for each item, or with `row_tokens` items end to end as `pack` lays them.

    Returns:
        Item indices, a list a row, a list of rows a micro-batch of at most `max_tokens` with
        padding (`micro_batches`).
    """
    rows = (
        [[item] for item in range(len(lengths))]
        if row_tokens is None
        else pack(lengths, row_tokens)
    )
    row_lengths = [sum(lengths[item] for item in row) for row in rows]
    return [[rows[row] for row in group] for group in micro_batches(row_lengths, max_tokens)]


def cut(lengths: Sequence[int], width: int) -> list[int]:
    """What a row of `width` tokens has room for of items laid end to end, the last of them cut."""
    ends = np.minimum(np.cumsum(lengths), width)
    return [length for length in np.diff(ends, prepend=0).tolist() if length]


class Regrouped(NamedTuple):
    """Items laid end to end, and the slots of rectangles that hold them."""

    token_of_slot: Int[np.ndarray, " slot"]
    slot_of_token: Int[np.ndarray, " token"]
    shapes: list[tuple[int, int]]
    """Of each rectangle: items, and slots of each.

    An item's last slots may be empty; they repeat its last token.
    """


def regroup(lengths: Sequence[int]) -> Regrouped:
    """Rectangles of items that are about as long as each other.

    None is a fifth shorter than the longest beside it.
    """
    groups = _alike(lengths)
    starts = np.cumsum([0, *lengths])[:-1]
    token_of_slot, slot_of_token, num_slots = [], np.zeros(sum(lengths), dtype=np.int64), 0
    for items in groups:
        index = np.arange(lengths[items[0]])
        own_lengths = np.array([lengths[item] for item in items])[:, None]
        first = starts[items][:, None]
        token_of_slot.append((first + np.minimum(index, own_lengths - 1)).ravel())
        is_taken = index < own_lengths
        slot_of_token[(first + index)[is_taken]] = num_slots + np.flatnonzero(is_taken)
        num_slots += is_taken.size
    shapes = [(len(items), lengths[items[0]]) for items in groups]
    return Regrouped(np.concatenate(token_of_slot), slot_of_token, shapes)


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """Items from longest to shortest, ties by index.

    Cut where one is a fifth shorter than the first of its group.
    """
    groups: list[list[int]] = []
    for item in sorted(range(len(lengths)), key=lambda item: (-lengths[item], item)):
        if groups and lengths[item] > (1 - MAX_EMPTY_FRAC) * lengths[groups[-1][0]]:
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def pack_mask(lengths: Sequence[int], width: int) -> Bool[np.ndarray, "token token"]:
    """Who may look at whom in a row of items laid end to end, then padding.

    Causal within an item, blind beyond it.

    Padding tokens see themselves alone, so that no row of the mask is empty.
    """
    assert sum(lengths) <= width
    owner = np.full(width, -1)
    owner[: sum(lengths)] = np.repeat(np.arange(len(lengths)), lengths)
    index = np.arange(width)
    same = (owner[:, None] == owner[None, :]) & (owner[:, None] >= 0)
    return (same & (index[None, :] <= index[:, None])) | np.eye(width, dtype=bool)


def pack_positions(lengths: Sequence[int], width: int) -> Int[np.ndarray, " token"]:
    """Position ids of such a row: from 0 within each item, 0 on padding."""
    positions = np.zeros(width, dtype=np.int64)
    positions[: sum(lengths)] = np.concatenate([np.arange(n) for n in lengths])
    return positions


def pad(rows: Sequence[Sequence[int]], value: int) -> Int[Tensor, "row token"]:
    """Right-pad rows with `value` to the longest of them."""
    width = max(map(len, rows))
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return torch.from_numpy(padded)


def probe_positions(
    boundaries: Sequence[int], probe_lengths: Sequence[int]
) -> Int[np.ndarray, " probe_token"]:
    """Position ids of the probes [probe_1 … probe_n].

    Probe i stands after `boundaries[i]` prefix tokens.

    Each probe's ids go on from its own boundary, as if the rest of the prefix and the other probes
    were not there.
    """
    if not boundaries:
        return np.zeros(0, dtype=np.int64)
    return np.concatenate(
        [np.arange(b, b + n) for b, n in zip(boundaries, probe_lengths, strict=True)]
    )


def probe_mask(
    prefix_length: int, boundaries: Sequence[int], probe_lengths: Sequence[int]
) -> Bool[np.ndarray, "probe_token key"]:
    """Who may look at whom behind a prefix.

    True where query, a token of [probe_1 … probe_n], sees key.

    Keys are [prefix, probe_1 … probe_n]. Probe i sees the first `boundaries[i]` prefix tokens and
    itself, causally: so one forward pass over all probes equals one for each [prefix up to boundary
    i, probe_i]. The prefix needs no mask.
    """
    assert len(boundaries) == len(probe_lengths)
    assert all(0 < b <= prefix_length for b in boundaries), (
        "a probe needs at least one prefix token"
    )
    owner = np.repeat(np.arange(len(probe_lengths)), probe_lengths)
    index = np.arange(len(owner))
    is_itself = (owner[:, None] == owner[None, :]) & (index[None, :] <= index[:, None])
    limit = np.repeat(np.asarray(boundaries, dtype=np.int64), probe_lengths)
    return np.concatenate([np.arange(prefix_length)[None, :] < limit[:, None], is_itself], axis=1)
