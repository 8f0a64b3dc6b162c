"""From segments to tokens, by hand."""

import numpy as np

from stages.pure.objectives.arrays import Advantage
from stages.pure.objectives.tokens import on_tokens, stops_apart
from tests.pure.objectives.by_hand import SEGMENTS


def test_on_tokens_by_hand() -> None:
    advantage = Advantage(np.array([0.5, 1.0, -1.0]), np.array([0.25, 0.0, 0.0]))
    segments = SEGMENTS._replace(
        rollout=np.array([0, 0, 1]),
        start_tokens=np.array([0, 2, 0]),
        end_tokens=np.array([2, 4, 1]),
    )
    is_anchored = np.array([True, False, True])
    is_sampled = [np.array([True, False, False, True]), np.array([True])]
    by_token = on_tokens(advantage, is_anchored, segments, is_sampled)
    assert [tokens.tolist() for tokens in by_token.outcome] == [[0.5, 0.5, 1.0, 1.0], [-1.0]]
    assert [tokens.tolist() for tokens in by_token.credit] == [[0.25, 0.25, 0.0, 0.0], [0.0]]
    assert [tokens.tolist() for tokens in by_token.is_target] == [
        [True, False, False, True],
        [True],
    ]
    assert [tokens.tolist() for tokens in by_token.is_anchored] == [[True] + [False] * 3, [True]]


def test_the_choice_to_stop_stands_apart_by_hand() -> None:
    """The first rollout wrote its cue, the second was given it, the third is an answer at once."""
    is_sampled = [
        np.ones(12, dtype=bool),
        np.array([True] * 4 + [False] + [True] * 3),
        np.ones(4, dtype=bool),
    ]
    apart = stops_apart(SEGMENTS, is_sampled)
    assert apart.rollout.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert apart.start_tokens.tolist() == [0, 4, 8, 9, 0, 4, 0, 1]
    assert apart.end_tokens.tolist() == [4, 8, 9, 12, 4, 8, 1, 4]
    assert np.flatnonzero(apart.is_stop).tolist() == [2, 6]
    assert np.flatnonzero(apart.is_thinking).tolist() == [0, 1, 4]
    assert all(len(values) == 8 for values in apart)


def test_where_nobody_answers_nothing_stands_apart() -> None:
    cut = SEGMENTS._replace(is_thinking=np.ones(6, dtype=bool))
    apart = stops_apart(cut, [np.ones(12, dtype=bool)] * 3)
    assert not apart.is_stop.any()
    assert apart.end_tokens.tolist() == SEGMENTS.end_tokens.tolist()
    nothing = type(SEGMENTS)(*(values[:0] for values in SEGMENTS))
    assert len(stops_apart(nothing, []).rollout) == 0
