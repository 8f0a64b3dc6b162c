"""Where thinking is cut: by hand, with real tokenizers, and the one property everything rests on: segments tile."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.contracts.render import Renderer
from stages.contracts.task_params import CountdownTask
from stages.pure.segments import cutpoint_boundaries, fixed_boundaries, marker_boundaries
from stages.tasks.formats import load_format
from stages.tasks.text_format import TextFormat

TOKENS = st.lists(st.integers(0, 4), max_size=30)
MARKERS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=3), max_size=4)
PROBS = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0, math.nan]), max_size=30)


@pytest.mark.parametrize(
    ("tokens", "markers", "expected"),
    [
        ([], [[1]], [0]),
        ([5, 6, 7], [[1]], [0, 3]),
        ([5, 6, 7], [], [0, 3]),
        ([5, 1, 6, 2], [[1], [2]], [0, 2, 4]),
        ([5, 1, 6], [[1]], [0, 2, 3]),
        ([1, 1], [[1]], [0, 1, 2]),
        ([9, 1, 1, 1], [[1], [1, 1]], [0, 3, 4]),  # the longer marker first, then what is left
        ([1, 1, 1], [[1, 1]], [0, 2, 3]),  # occurrences do not overlap
        ([1, 2, 2], [[1, 2], [2]], [0, 2, 3]),
        ([1, 2, 9], [[1, 2, 3], [2]], [0, 2, 3]),  # a longer marker that does not come off hides nothing
        ([7, 1, 2], [[1, 2, 3]], [0, 3]),  # a marker cut off at the end is none
    ],
)
def test_boundaries_by_hand(tokens: list[int], markers: list[list[int]], expected: list[int]) -> None:
    assert marker_boundaries(tokens, markers) == expected


def test_an_empty_marker_is_refused() -> None:
    with pytest.raises(AssertionError, match="empty marker"):
        marker_boundaries([1, 2], [[1], []])


def test_markers_that_begin_alike_are_told_apart() -> None:
    task = CountdownTask.model_validate(
        {
            "name": "countdown",
            "seed": 0,
            "max_number": 12,
            "max_result": 99,
            "heldout_bucket": 0,
            "tiers": [{"num_numbers": 3, "num_train": 1, "num_heldout": 1}],
        }
    )
    form = load_format(task)
    renderer = Renderer(form.tokenizer([]))
    assert renderer.encode("<") != renderer.encode("<<")
    tokens = renderer.encode("7 + 5 12 << 9 + 3 12 < 6 * 6 36 = 7 +")
    boundaries = marker_boundaries(tokens, [renderer.encode(marker) for marker in form.segment_ends])
    assert boundaries == [0, 5, 10, 15, 17]


def test_blank_lines_cut_text() -> None:
    texts = ["Six sevens.\n\n", "So forty-two.\nOr is it?\n\n", "Yes"]
    form = TextFormat(280)
    renderer = Renderer(form.tokenizer(texts))
    tokens = renderer.encode("".join(texts))
    boundaries = marker_boundaries(tokens, [renderer.encode(marker) for marker in form.segment_ends])
    spans = pairwise(boundaries)
    assert [renderer.decode(tokens[start:end]) for start, end in spans] == texts


@given(TOKENS, MARKERS)
def test_segments_tile_the_tokens(tokens: list[int], markers: list[list[int]]) -> None:
    boundaries = marker_boundaries(tokens, markers)
    assert boundaries[0] == 0
    assert boundaries[-1] == len(tokens)
    assert all(start < end for start, end in pairwise(boundaries))


@given(TOKENS, MARKERS)
def test_every_inner_boundary_stands_behind_a_marker(tokens: list[int], markers: list[list[int]]) -> None:
    for boundary in marker_boundaries(tokens, markers)[1:-1]:
        assert any(tokens[max(0, boundary - len(marker)) : boundary] == marker for marker in markers)


@given(TOKENS, st.lists(st.integers(0, 4), max_size=3))
def test_single_token_markers_cut_after_each_of_them(tokens: list[int], markers: list[int]) -> None:
    after = {index + 1 for index, token in enumerate(tokens) if token in markers}
    assert marker_boundaries(tokens, [[marker] for marker in markers]) == sorted(after | {0, len(tokens)})


@given(TOKENS, MARKERS, st.randoms())
def test_the_order_of_markers_means_nothing(tokens: list[int], markers: list[list[int]], random: object) -> None:
    shuffled = sorted(markers, key=lambda _: random.random())
    assert marker_boundaries(tokens, shuffled) == marker_boundaries(tokens, markers)


@pytest.mark.parametrize(
    ("num_tokens", "every", "expected"),
    [
        (0, 4, [0]),
        (1, 4, [0, 1]),
        (4, 4, [0, 4]),
        (5, 4, [0, 4, 5]),
        (9, 4, [0, 4, 8, 9]),
        (3, 1, [0, 1, 2, 3]),
    ],
)
def test_fixed_boundaries_by_hand(num_tokens: int, every: int, expected: list[int]) -> None:
    assert fixed_boundaries(num_tokens, every) == expected


@given(st.integers(0, 200), st.integers(1, 50))
def test_fixed_segments_tile_and_all_but_the_last_are_as_long_as_told(num_tokens: int, every: int) -> None:
    boundaries = fixed_boundaries(num_tokens, every)
    assert (boundaries[0], boundaries[-1]) == (0, num_tokens)
    lengths = [end - start for start, end in pairwise(boundaries)]
    assert all(length == every for length in lengths[:-1])
    assert all(1 <= length <= every for length in lengths[-1:])


def cutpoints(probs: list[float], max_prob: float, min_tokens: int) -> list[int]:
    with np.errstate(divide="ignore"):
        return cutpoint_boundaries(np.log(np.array(probs)), max_prob, min_tokens)


@pytest.mark.parametrize(
    ("probs", "min_tokens", "expected"),
    [
        ([], 1, [0]),
        ([0.1], 1, [0, 1]),  # the first token is at a boundary already
        ([1, 1, 1], 1, [0, 3]),
        ([1, 1, 0.1, 1, 0.8, 1], 1, [0, 2, 4, 6]),
        ([1, 1, 0.9, 1], 1, [0, 4]),  # strictly below
        ([1, 0.1, 0.1, 0.1, 1, 1], 2, [0, 2, 6]),  # the one at 1 is too near the start, that at 3 to the cut at 2
        ([1, 1, 0.1, 0.1, 0.1, 1], 2, [0, 2, 4, 6]),
        ([1, 1, 1, 0.1], 3, [0, 3, 4]),  # the last segment may be short
        ([0.0, math.nan, 0.0], 1, [0, 2, 3]),  # impossible is below; unknown is not
        ([0.1, 0.1, 0.1], 1, [0, 1, 2, 3]),
    ],
)
def test_cutpoints_by_hand(probs: list[float], min_tokens: int, expected: list[int]) -> None:
    assert cutpoints(probs, 0.9, min_tokens) == expected


@given(PROBS, st.floats(0.01, 0.99), st.integers(1, 8))
def test_cutpoint_segments_tile_at_their_distance_before_unlikely_tokens(
    probs: list[float], max_prob: float, min_tokens: int
) -> None:
    boundaries = cutpoints(probs, max_prob, min_tokens)
    assert (boundaries[0], boundaries[-1]) == (0, len(probs))
    lengths = [end - start for start, end in pairwise(boundaries)]
    assert all(length >= min_tokens for length in lengths[:-1])
    assert all(length >= 1 for length in lengths)
    assert all(probs[boundary] < max_prob for boundary in boundaries[1:-1])


@given(PROBS, st.floats(0.01, 0.99), st.integers(1, 8))
def test_no_unlikely_token_far_from_a_cut_is_passed_by(probs: list[float], max_prob: float, min_tokens: int) -> None:
    boundaries = cutpoints(probs, max_prob, min_tokens)
    for position, prob in enumerate(probs):
        before = max(boundary for boundary in boundaries if boundary <= position)
        assert position == before or position - before < min_tokens or not prob < max_prob
