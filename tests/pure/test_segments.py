"""Where thinking is cut: by hand, with real tokenizers, and the one property everything rests on.

Segments tile; and none but the first begins with a token that was not sampled.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.tasks import countdown_task
from stages.contracts.render import Renderer
from stages.contracts.token_text import token_texts
from stages.pure.segments import cutpoint_boundaries, fixed_boundaries, marker_boundaries
from stages.tasks.formats import load_format
from stages.tasks.text_format import TextFormat

WORDS = st.lists(st.text("ab.", min_size=1, max_size=3), max_size=20)
MARKERS = st.lists(st.text("ab.", min_size=1, max_size=4), max_size=4)
TURNS = st.lists(st.tuples(st.text("ab.", min_size=1, max_size=3), st.booleans()), max_size=20)
PROBS = st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0, math.nan]), max_size=30)


def alone(size: int) -> np.ndarray:
    """All sampled: one turn."""
    return np.ones(size, dtype=bool)


def marked(words: Sequence[str], markers: Sequence[str]) -> list[int]:
    return marker_boundaries(words, markers, alone(len(words)))


@pytest.mark.parametrize(
    ("words", "markers", "expected"),
    [
        ([], ["."], [0]),
        (["a", "b", "c"], ["."], [0, 3]),
        (["a", "b", "c"], [], [0, 3]),
        (["a", ".", "b", "!"], [".", "!"], [0, 2, 4]),
        (["a", ".", "b"], ["."], [0, 2, 3]),
        ([".", "."], ["."], [0, 1, 2]),
        (["a", ".", "."], [".."], [0, 3]),  # a marker of two tokens
        (["a..", "b"], [".."], [0, 1, 2]),  # the same as part of one
        ([".", ".", "."], [".."], [0, 2, 3]),  # occurrences do not overlap
        (["a", ".", "."], [".", ".."], [0, 2, 3]),  # as soon as one is complete
        (["a.b", "c"], ["."], [0, 2]),  # inside a token it ends nothing
        (["a", "wa", "it"], ["wait"], [0, 3]),
        (["a", "wa"], ["wait"], [0, 2]),  # a marker cut off at the end is none
    ],
)
def test_boundaries_by_hand(words: list[str], markers: list[str], expected: list[int]) -> None:
    assert marked(words, markers) == expected


def test_an_empty_marker_is_refused() -> None:
    with pytest.raises(AssertionError, match="empty marker"):
        marked(["a", "b"], ["a", ""])


def test_markers_that_begin_alike_are_told_apart() -> None:
    form = load_format(countdown_task())
    renderer = Renderer(form.tokenizer([]))
    assert renderer.encode("<") != renderer.encode("<<")
    tokens = renderer.encode("7 + 5 12 << 9 + 3 12 < 6 * 6 36 = 7 +")
    boundaries = marked(token_texts(renderer, tokens), form.segment_ends)
    assert boundaries == [0, 5, 10, 15, 17]
    special = renderer.encode("7 + <bos> 5 < <eos>")  # written with a marker's sign, but no marker
    assert marked(token_texts(renderer, special), form.segment_ends) == [0, 5, 6]


def test_blank_lines_cut_text() -> None:
    texts = ["Six sevens.\n\n", "So forty-two.\nOr is it?\n\n", "Yes"]
    form = TextFormat(280)
    renderer = Renderer(form.tokenizer(texts))
    tokens = renderer.encode("".join(texts))
    boundaries = marked(token_texts(renderer, tokens), form.segment_ends)
    spans = pairwise(boundaries)
    assert [renderer.decode(tokens[start:end]) for start, end in spans] == texts


@given(WORDS, MARKERS)
def test_segments_tile_the_tokens(words: list[str], markers: list[str]) -> None:
    boundaries = marked(words, markers)
    assert boundaries[0] == 0
    assert boundaries[-1] == len(words)
    assert all(start < end for start, end in pairwise(boundaries))


@given(WORDS, MARKERS)
def test_a_segment_ends_with_a_marker_and_not_before(words: list[str], markers: list[str]) -> None:
    spans = list(pairwise(marked(words, markers)))
    for start, end in spans:
        before = ["".join(words[start:stop]) for stop in range(start + 1, end)]
        assert not any(text.endswith(marker) for text in before for marker in markers)
    for start, end in spans[:-1]:
        assert any("".join(words[start:end]).endswith(marker) for marker in markers)


@given(WORDS, st.lists(st.sampled_from("ab."), max_size=3))
def test_where_each_marker_is_a_token_every_one_cuts(words: list[str], markers: list[str]) -> None:
    letters = [letter for word in words for letter in word]
    after = {index + 1 for index, letter in enumerate(letters) if letter in markers}
    assert marked(letters, markers) == sorted(after | {0, len(letters)})


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
    assert fixed_boundaries(alone(num_tokens), every) == expected


@given(st.integers(0, 200), st.integers(1, 50))
def test_fixed_segments_tile_and_all_but_the_last_are_as_long_as_told(
    num_tokens: int, every: int
) -> None:
    boundaries = fixed_boundaries(alone(num_tokens), every)
    assert (boundaries[0], boundaries[-1]) == (0, num_tokens)
    lengths = [end - start for start, end in pairwise(boundaries)]
    assert all(length == every for length in lengths[:-1])
    assert all(1 <= length <= every for length in lengths[-1:])


def cutpoints(probs: list[float], max_prob: float, min_tokens: int) -> list[int]:
    with np.errstate(divide="ignore"):
        logprobs = np.log(np.array(probs, dtype=float))
        return cutpoint_boundaries(logprobs, alone(len(probs)), max_prob, min_tokens)


@pytest.mark.parametrize(
    ("probs", "min_tokens", "expected"),
    [
        ([], 1, [0]),
        ([0.1], 1, [0, 1]),  # the first token is at a boundary already
        ([1, 1, 1], 1, [0, 3]),
        ([1, 1, 0.1, 1, 0.8, 1], 1, [0, 2, 4, 6]),
        ([1, 1, 0.9, 1], 1, [0, 4]),  # strictly below
        (
            [1, 0.1, 0.1, 0.1, 1, 1],
            2,
            [0, 2, 6],
        ),  # the one at 1 is too near the start, that at 3 to the cut at 2
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
def test_no_unlikely_token_far_from_a_cut_is_passed_by(
    probs: list[float], max_prob: float, min_tokens: int
) -> None:
    boundaries = cutpoints(probs, max_prob, min_tokens)
    for position, prob in enumerate(probs):
        before = max(boundary for boundary in boundaries if boundary <= position)
        assert position == before or position - before < min_tokens or not prob < max_prob


# Two turns and more: S sampled, - put there.


def sampled(turns: str) -> np.ndarray:
    return np.array([letter == "S" for letter in turns], dtype=bool)


@pytest.mark.parametrize(
    ("words", "turns", "expected"),
    [
        ("a.bcd", "SSSSS", [0, 2, 5]),
        ("a.bcd", "SS--S", [0, 4, 5]),  # the reply belongs to what called for it
        ("ab.cd", "SS--S", [0, 5]),  # a marker in a reply closes nothing
        ("ab..d", "SS-SS", [0, 4, 5]),
        ("ab.cd", "--SSS", [0, 3, 5]),
        ("abc.d", "SSSS-", [0, 5]),
        ("a.b.c", "-----", [0, 5]),
    ],
)
def test_markers_are_the_policys_own(words: str, turns: str, expected: list[int]) -> None:
    assert marker_boundaries(words, ["."], sampled(turns)) == expected


def test_a_marker_is_not_completed_across_a_reply() -> None:
    assert marker_boundaries("a..b", [".."], sampled("SSSS")) == [0, 3, 4]
    assert marker_boundaries("a.-.b", [".."], sampled("SS-SS")) == [0, 5]


@pytest.mark.parametrize(
    ("turns", "every", "expected"),
    [
        ("SSSS", 2, [0, 2, 4]),
        ("SS---SS", 2, [0, 5, 7]),
        ("S---SSS", 2, [0, 5, 7]),
        ("--SS-SS", 2, [0, 5, 7]),
        ("SS--", 2, [0, 4]),
        ("---", 2, [0, 3]),
    ],
)
def test_fixed_lengths_count_sampled_tokens(turns: str, every: int, expected: list[int]) -> None:
    assert fixed_boundaries(sampled(turns), every) == expected


@pytest.mark.parametrize(
    ("probs", "turns", "min_tokens", "expected"),
    [
        ([1, 1, 0.1, 0.1, 1], "SSSSS", 2, [0, 2, 5]),
        ([1, 1, 0.1, 0.1, 1], "SS-SS", 2, [0, 3, 5]),  # what a reply's entry says is not read
        ([1, 1, 1, 1, 0.1], "S---S", 2, [0, 5]),  # one sampled token before it, not four
        ([1, 1, 1, 1, 0.1], "S---S", 1, [0, 4, 5]),
    ],
)
def test_cutpoints_are_sampled_tokens(
    probs: list[float], turns: str, min_tokens: int, expected: list[int]
) -> None:
    boundaries = cutpoint_boundaries(np.log(np.array(probs)), sampled(turns), 0.9, min_tokens)
    assert boundaries == expected


@given(TURNS, MARKERS, st.integers(1, 5), st.floats(0.01, 0.99))
def test_no_cut_lies_before_or_within_what_was_not_sampled(
    turns: list[tuple[str, bool]], markers: list[str], every: int, max_prob: float
) -> None:
    is_sampled = np.array([is_own for _, is_own in turns], dtype=bool)
    logprobs = np.where(is_sampled, -1.0, 0.0)
    for boundaries in (
        marker_boundaries([word for word, _ in turns], markers, is_sampled),
        fixed_boundaries(is_sampled, every),
        cutpoint_boundaries(logprobs, is_sampled, max_prob, every),
    ):
        assert (boundaries[0], boundaries[-1]) == (0, len(turns))
        assert all(start < end for start, end in pairwise(boundaries))
        assert all(is_sampled[boundary] for boundary in boundaries[1:-1])


@given(TURNS, st.integers(1, 5))
def test_replies_move_no_fixed_cut(turns: list[tuple[str, bool]], every: int) -> None:
    """Lengths in sampled tokens are those of the stream without the replies."""
    is_sampled = np.array([is_own for _, is_own in turns], dtype=bool)
    num_before = np.append(0, is_sampled.cumsum())
    size = int(is_sampled.sum())
    cuts = [num_before[cut] for cut in fixed_boundaries(is_sampled, every)]
    assert sorted({*cuts}) == sorted({*fixed_boundaries(alone(size), every)})
