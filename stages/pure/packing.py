"""Rows of different lengths to rectangles, and many probes of one trace to one row. Indices and masks only."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor


def micro_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Split rows into groups whose padded size (rows x longest row) stays within `max_tokens`.

    Rows are taken from longest to shortest, ties by index, so padding is small and the split is a function of
    the lengths alone. A row longer than `max_tokens` gets a group of its own.

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


def pack(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Place items into rows of at most `row_tokens`: each item, in order, into the first row with room for it.

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


def pack_mask(lengths: Sequence[int], width: int) -> Bool[np.ndarray, "token token"]:
    """Who may look at whom in a row of items laid end to end, then padding: causal within an item, blind beyond it.

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
    prefix_length: int, boundaries: Sequence[int], probe_lengths: Sequence[int]
) -> Int[np.ndarray, " token"]:
    """Position ids of the row [prefix, probe_1 … probe_n], probe i standing after `boundaries[i]` prefix tokens.

    Each probe's ids go on from its own boundary, as if the rest of the prefix were not there.
    """
    spans = [np.arange(prefix_length)]
    spans += [np.arange(b, b + n) for b, n in zip(boundaries, probe_lengths, strict=True)]
    return np.concatenate(spans)


def probe_mask(
    prefix_length: int, boundaries: Sequence[int], probe_lengths: Sequence[int]
) -> Bool[np.ndarray, "token token"]:
    """Who may look at whom in the row [prefix, probe_1 … probe_n]; True where query (row) sees key (column).

    The prefix is causal. Probe i sees the first `boundaries[i]` prefix tokens and itself, causally: so one forward
    pass over the row equals one pass for each [prefix up to boundary i, probe_i].
    """
    assert len(boundaries) == len(probe_lengths)
    assert all(0 < b <= prefix_length for b in boundaries), "a probe needs at least one prefix token"
    owner = np.concatenate([np.full(prefix_length, -1), np.repeat(np.arange(len(probe_lengths)), probe_lengths)])
    index = np.arange(len(owner))
    causal = index[None, :] <= index[:, None]
    same = owner[:, None] == owner[None, :]
    limit = np.concatenate([np.zeros(prefix_length, dtype=int), np.repeat(boundaries, probe_lengths)])
    sees_prefix = (owner[:, None] >= 0) & (index[None, :] < limit[:, None])
    return (same & causal) | sees_prefix
