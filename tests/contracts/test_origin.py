"""Where an answer starts, by the origin of a completion's tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.contracts.origin import Origin, answer_start


@pytest.mark.parametrize(
    ("origin", "num_thinking", "expected"),
    [
        ([0, 0, 0, 0], 2, 3),  # the policy's own cue of one token
        ([0, 0, 1, 0], 2, 3),
        ([0, 0, 1, 1, 1, 0, 0], 2, 5),
        ([0, 0, 0, 1, 1, 0, 0], 2, 5),  # its first token the policy's own
        ([0, 0, 0], 3, 3),  # never answered
        ([0, 1, 1, 0, 2, 2, 0, 0, 1, 0], 7, 9),  # cues and replies before it
        ([0, 1, 1, 0, 0, 0], 4, 5),
        ([], 0, 0),
    ],
)
def test_the_answer_follows_the_last_cue(
    origin: list[int], num_thinking: int, expected: int
) -> None:
    assert answer_start(origin, num_thinking) == expected


@given(st.lists(st.sampled_from([*Origin]), max_size=9), st.integers(0, 9))
def test_no_cue_stands_in_an_answer(origin: list[Origin], num_thinking: int) -> None:
    start = answer_start(origin, min(num_thinking, len(origin)))
    assert Origin.CUE not in origin[start:]
    assert min(num_thinking, len(origin)) <= start <= len(origin)
