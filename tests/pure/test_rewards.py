"""The success at the last boundary as a reward, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.credit import group_normalized
from stages.pure.rewards import success_reward

NAN = float("nan")


def test_success_by_hand() -> None:
    """Two segments; none, so J_0 of its group; a failed verifier; nobody thought; J unknown."""
    rewards = np.array([1.0, 0.0, NAN, 1.0, 0.0, 1.0, 0.0])
    groups = np.array([0, 0, 0, 1, 1, 2, 2])
    before = np.array([0.2, 0.5, 0.2, NAN])
    after = np.array([0.5, 0.7, 0.9, NAN])
    success = success_reward(rewards, groups, np.array([0, 0, 2, 5]), before, after)
    assert success[:2].tolist() == [0.7, 0.2]
    assert success[3:5].tolist() == [0.0, 0.0]
    assert np.isnan(success[[2, 5, 6]]).all()


def test_without_segments_all_rewards_are_alike() -> None:
    nothing = np.zeros(0)
    success = success_reward(
        np.array([1.0, 0.0]), np.zeros(2, dtype=int), nothing.astype(int), nothing, nothing
    )
    assert success.tolist() == [0.0, 0.0]
    assert group_normalized(success, np.zeros(2, dtype=int), True, 1e-4).tolist() == [0.0, 0.0]


@given(st.lists(st.lists(st.floats(0, 1), max_size=4), min_size=1, max_size=6))
def test_a_rollouts_success_is_that_behind_its_last_segment(streams: list[list[float]]) -> None:
    start = 0.25
    rollout = np.repeat(np.arange(len(streams)), [len(stream) for stream in streams])
    after = np.array([value for stream in streams for value in stream])
    before = np.array([value for stream in streams for value in [start, *stream][:-1]])
    rewards, groups = np.zeros(len(streams)), np.zeros(len(streams), dtype=int)
    success = success_reward(rewards, groups, rollout, before, after)
    expected = [stream[-1] if stream else start for stream in streams]
    if any(streams):
        assert success == pytest.approx(expected, abs=1e-12)
