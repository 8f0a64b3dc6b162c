"""A group small enough to work out by hand, groups drawn at random, and ways to scale credit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from stages.pure.objectives.arrays import Advantage, RoundArrays, Segments

NAN = float("nan")
AS_IT_IS: dict[str, Any] = {"credit_baseline": "none", "normalize_credit_by_std": False}
CENTRED: dict[str, Any] = {"credit_baseline": "group_mean", "normalize_credit_by_std": False}
NORMALIZED: dict[str, Any] = {"credit_baseline": "group_mean", "normalize_credit_by_std": True}

# Three rollouts of one problem, four tokens a segment: two attempts and the answer; one attempt and
# the answer; an answer at once. The attempts miss, hit, and are lost by their verifier; the first
# is called right.
SEGMENTS = Segments(
    rollout=np.array([0, 0, 0, 1, 1, 2]),
    group=np.zeros(6, dtype=int),
    start_tokens=np.array([0, 4, 8, 0, 4, 0]),
    end_tokens=np.array([4, 8, 12, 4, 8, 4]),
    gain=np.array([-0.25, 0.75, NAN, 0.25, NAN, NAN]),
    is_attempt=np.array([True, True, False, True, False, False]),
    attempt_grade=np.array([0.0, 1.0, NAN, NAN, NAN, NAN]),
    verdict_grade=np.array([0.0, 1.0, NAN, NAN, NAN, NAN]),
    used_tokens=np.array([4, 8, 12, 4, 8, 4]),
)
ARRAYS = RoundArrays(
    outcome=np.array([0.5, -0.25, -0.25]),
    rewards=np.array([1.0, 0.0, 1.0]),
    groups=np.zeros(3, dtype=int),
    thinking_tokens=np.array([8, 4, 0]),
    segments=SEGMENTS,
    std_epsilon=0.0,
)
OUTCOME = [0.5, 0.5, 0.5, -0.25, -0.25, -0.25]
"""A_out on the segments."""
Rows = list[tuple[int, float, bool]]
LISTS = st.lists(
    st.tuples(st.integers(0, 3), st.floats(-1, 1), st.booleans()), min_size=1, max_size=24
)


def made(rows: Rows) -> Segments:
    """Segments of up to four rollouts, of one problem, from (rollout, gain, is it an attempt)."""
    rollout, gain, is_attempt = (
        np.array(column) for column in zip(*sorted(rows, key=lambda r: r[0]), strict=True)
    )
    index = np.arange(len(rollout)) - np.searchsorted(rollout, rollout)
    grades = np.where(is_attempt, (gain > 0).astype(float), NAN)
    zeros = np.zeros(len(rollout), dtype=int)
    ends = 4 * index + 4
    return Segments(
        rollout, zeros, 4 * index, ends, gain, is_attempt, grades, 1 - grades, used_tokens=ends
    )


def arrays_of(segments: Segments, outcome: np.ndarray) -> RoundArrays:
    """A round of these segments whose rollouts are of one problem."""
    thinking = np.bincount(segments.rollout, minlength=len(outcome)) * 4
    groups = np.zeros(len(outcome), dtype=int)
    return RoundArrays(outcome, outcome, groups, thinking, segments, 1e-4)


def assert_advantage(advantage: Advantage, outcome: list[float], credit: list[float]) -> None:
    assert advantage.outcome == pytest.approx(outcome, abs=1e-12, nan_ok=True)
    assert advantage.credit == pytest.approx(credit, abs=1e-12)
