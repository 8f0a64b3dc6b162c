"""Rectangles from ragged rows: every item once, within bounds, and none sees another's tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures.decoders import tiny_llama
from stages.pure.packing import (
    MAX_EMPTY_FRAC,
    balanced,
    cut,
    lay_out,
    micro_batches,
    pack,
    pack_mask,
    pack_positions,
    pad,
    probe_mask,
    probe_positions,
    regroup,
)

LENGTHS = st.lists(st.integers(1, 20), max_size=25)


def test_micro_batches_by_hand() -> None:
    assert micro_batches([3, 5, 2, 4], 10) == [[1, 3], [0, 2]]
    assert micro_batches([3, 3, 3], 6) == [[0, 1], [2]]
    assert micro_batches([2, 50, 2], 10) == [
        [1],
        [0, 2],
    ]  # too long for any group: a group of its own
    assert micro_batches([], 10) == []


@given(LENGTHS, st.integers(1, 60))
def test_micro_batches_hold_every_row_once_within_the_bound(
    lengths: list[int], max_tokens: int
) -> None:
    groups = micro_batches(lengths, max_tokens)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        padded = len(group) * max(lengths[row] for row in group)
        assert padded <= max_tokens or len(group) == 1
    assert micro_batches(lengths, max_tokens) == groups


def test_pack_by_hand() -> None:
    assert pack([3, 5, 2, 4], 6) == [[0, 2], [1], [3]]
    assert pack([9, 1], 6) == [[0], [1]]
    assert pack([4, 2, 1], 6) == [[0, 1], [2]]  # a row may be filled to the last token
    assert pack([], 6) == []


def test_pieces_are_dealt_by_hand() -> None:
    assert balanced([5, 1, 4, 3, 2], 2) == [[0, 1, 4], [2, 3]]
    assert balanced([5], 3) == [[0], [], []]
    assert balanced([2, 2, 2], 1) == [[0, 1, 2]]


@given(st.lists(st.integers(1, 100)), st.integers(1, 5))
def test_each_piece_is_dealt_once_and_no_part_has_much_more_than_another(
    sizes: list[int], num_parts: int
) -> None:
    parts = balanced(sizes, num_parts)
    assert sorted(piece for part in parts for piece in part) == list(range(len(sizes)))
    sums = [sum(sizes[piece] for piece in part) for part in parts]
    assert len(parts) == num_parts
    assert max(sums) - min(sums) <= max(sizes, default=0)


@given(LENGTHS, st.integers(1, 40))
def test_pack_holds_every_item_once_within_the_bound(lengths: list[int], row_tokens: int) -> None:
    rows = pack(lengths, row_tokens)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    for row in rows:
        assert sum(lengths[item] for item in row) <= row_tokens or len(row) == 1
        assert row == sorted(row)


def test_lay_out_by_hand() -> None:
    assert lay_out([3, 5, 2, 4], 10, row_tokens=None) == [[[1], [3]], [[0], [2]]]
    assert lay_out([3, 5, 2, 4], 10, row_tokens=6) == [[[0, 2], [1]], [[3]]]
    assert lay_out([], 10, row_tokens=6) == []


@given(LENGTHS, st.integers(1, 60), st.one_of(st.none(), st.integers(1, 40)))
def test_lay_out_holds_every_item_once_within_both_bounds(
    lengths: list[int], max_tokens: int, row_tokens: int | None
) -> None:
    groups = lay_out(lengths, max_tokens, row_tokens)
    assert sorted(item for group in groups for row in group for item in row) == list(
        range(len(lengths))
    )
    for group in groups:
        widths = [sum(lengths[item] for item in row) for row in group]
        assert len(group) * max(widths) <= max_tokens or len(group) == 1
        assert all(
            len(row) == 1 or sum(lengths[item] for item in row) <= (row_tokens or 0)
            for row in group
        )


def test_pack_mask_and_positions_by_hand() -> None:
    expected = [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert pack_mask([2, 1], 5).astype(int).tolist() == expected
    assert pack_positions([2, 1], 5).tolist() == [0, 1, 0, 0, 0]
    assert pack_positions([1, 3], 4).tolist() == [0, 0, 1, 2]
    with pytest.raises(AssertionError):
        pack_mask([4, 2], 5)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 4))
def test_a_packed_token_sees_its_own_item_up_to_itself(
    lengths: list[int], num_padding: int
) -> None:
    width = sum(lengths) + num_padding
    seen = pack_mask(lengths, width).sum(axis=1)
    assert (
        seen == np.concatenate([*(np.arange(n) + 1 for n in lengths), np.ones(num_padding)])
    ).all()
    assert (np.triu(pack_mask(lengths, width), 1) == 0).all()


def test_cut_by_hand() -> None:
    assert cut([3, 2], 7) == [3, 2]
    assert cut([3, 2], 4) == [3, 1]
    assert cut([3, 2], 3) == [3]
    assert cut([3, 2], 2) == [2]


def test_regroup_by_hand() -> None:
    regrouped = regroup([3, 6, 5, 3])  # tokens 0-2, 3-8, 9-13, 14-16
    assert regrouped.shapes == [(2, 6), (2, 3)]
    assert regrouped.token_of_slot.tolist() == [
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        13,
        0,
        1,
        2,
        14,
        15,
        16,
    ]
    assert regrouped.slot_of_token.tolist() == [
        12,
        13,
        14,
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        15,
        16,
        17,
    ]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=25))
def test_every_token_has_a_slot_of_its_own_and_few_are_empty(lengths: list[int]) -> None:
    regrouped = regroup(lengths)
    assert sum(items for items, _ in regrouped.shapes) == len(lengths)
    assert sum(items * slots for items, slots in regrouped.shapes) == len(regrouped.token_of_slot)
    assert (regrouped.token_of_slot[regrouped.slot_of_token] == np.arange(sum(lengths))).all()
    assert (1 - MAX_EMPTY_FRAC) * len(regrouped.token_of_slot) <= sum(lengths)
    assert (np.diff(regrouped.token_of_slot) <= 1).sum() >= len(regrouped.token_of_slot) - len(
        lengths
    ), "in order in an item"


def test_a_packed_row_equals_its_items_alone() -> None:
    model = tiny_llama(dtype=torch.float64)
    lengths = [5, 1, 8, 3]
    tokens = torch.randint(23, (1, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.from_numpy(pack_mask(lengths, 20))[None, None]
    positions = torch.from_numpy(pack_positions(lengths, 20))[None]
    with torch.no_grad():
        packed = model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, use_cache=False
        ).logits[0]
        start = 0
        for length in lengths:
            alone = model(input_ids=tokens[:, start : start + length], use_cache=False).logits[0]
            assert packed[start : start + length].numpy() == pytest.approx(alone.numpy(), abs=1e-12)
            start += length


def test_pad_by_hand() -> None:
    assert pad([[1, 2, 3], [4], []], 9).tolist() == [[1, 2, 3], [4, 9, 9], [9, 9, 9]]


def test_probe_mask_and_positions_by_hand() -> None:
    prefix_length, boundaries, probe_lengths = 3, [2, 3], [2, 1]
    expected = [
        [1, 1, 0, 1, 0, 0],  # the first probe stands after two tokens of the prefix
        [1, 1, 0, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],  # the second after all three; it sees nothing of the first
    ]
    assert probe_mask(prefix_length, boundaries, probe_lengths).astype(int).tolist() == expected
    assert probe_positions(boundaries, probe_lengths).tolist() == [2, 3, 3]
    assert probe_mask(prefix_length, [], []).shape == (0, prefix_length)
    assert probe_positions([], []).shape == (0,)


@pytest.mark.parametrize("boundary", [0, 4])
def test_a_probe_outside_the_prefix_is_refused(boundary: int) -> None:
    with pytest.raises(AssertionError, match="prefix"):
        probe_mask(3, [boundary], [1])


@given(st.integers(1, 8), st.data())
def test_a_probe_sees_its_prefix_and_itself_and_stands_right_behind(
    prefix_length: int, data: st.DataObject
) -> None:
    probes = st.tuples(st.integers(1, prefix_length), st.integers(1, 4))
    boundaries, lengths = zip(*data.draw(st.lists(probes, min_size=1, max_size=4)), strict=True)
    mask, positions = (
        probe_mask(prefix_length, boundaries, lengths),
        probe_positions(boundaries, lengths),
    )
    assert positions.tolist() == [
        b + i for b, n in zip(boundaries, lengths, strict=True) for i in range(n)
    ]
    assert (mask.sum(axis=1) == positions + 1).all()  # so many tokens before it, and itself
