"""Which rollouts are imitated, by hand and by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.objectives.imitation import imitated, imitation, progress_per_token
from tests.pure.objectives.by_hand import ARRAYS, LISTS, NAN, SEGMENTS, Rows, assert_advantage, made


def test_progress_per_token_by_hand() -> None:
    per_token = progress_per_token(SEGMENTS, np.array([8, 4, 0]))
    assert per_token.tolist() == [0.5 / 8, 0.25 / 4, 0.0]


def test_the_total_would_rank_by_the_last_boundary_alone() -> None:
    """Two ways from J = .1 to .9, in one segment and in three: totals tie, their rates do not."""
    segments = made([(0, 0.8, True), (1, 0.0, True), (1, 0.5, True), (1, 0.3, True)])
    rates = progress_per_token(segments, np.array([4, 12]))
    assert rates * [4, 12] == pytest.approx([0.8, 0.8], abs=1e-12)
    assert rates[0] > rates[1]


def test_imitated_by_hand() -> None:
    """Half of three is two, of one the only one; of two equal ones the earlier goes first."""
    rewards = np.array([1, 1, 1, 0.9, 1, 0, 1, 1, NAN])
    groups = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    progress = np.array([0.1, 0.3, 0.2, 0.9, -0.5, 0.0, 0.4, 0.4, 0.9])
    for keep_frac, expected in ((0.5, [1, 2, 4, 6]), (1.0, [0, 1, 2, 4, 6, 7]), (0.0, [])):
        is_imitated = imitated(rewards, groups, progress, keep_frac)
        assert np.flatnonzero(is_imitated).tolist() == expected
    assert imitated(np.zeros(0), np.zeros(0, dtype=int), np.zeros(0), 0.5).shape == (0,)


@given(LISTS, st.floats(0.01, 1))
def test_what_is_imitated_is_correct_and_no_worse_than_what_is_left(
    rows: Rows, keep_frac: float
) -> None:
    groups, progress, is_correct = (np.array(column) for column in zip(*rows, strict=True))
    is_kept = imitated(is_correct.astype(float), groups, progress, keep_frac)
    assert not (is_kept & ~is_correct).any()
    for group in np.unique(groups[is_correct]):
        is_own = (groups == group) & is_correct
        kept, left = progress[is_own & is_kept], progress[is_own & ~is_kept]
        assert len(kept) == np.ceil(keep_frac * (len(kept) + len(left)))
        assert kept.min() >= left.max(initial=-np.inf)


def test_imitation_weighs_kept_rollouts_one() -> None:
    """Of two correct ones the first has more progress a token; the third has no reward."""
    rewarded = ARRAYS._replace(rewards=np.array([1.0, 1.0, NAN]))
    slower = rewarded._replace(thinking_tokens=np.array([8, 12, 0]))
    assert_advantage(imitation(slower, keep_frac=0.5), [1, 1, 1, 0, 0, NAN], [0.0] * 6)
    assert_advantage(imitation(slower, keep_frac=1.0), [1, 1, 1, 1, 1, NAN], [0.0] * 6)
