"""From segments to tokens, by hand."""

import numpy as np

from stages.pure.objectives.arrays import Advantage
from stages.pure.objectives.tokens import on_tokens
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
