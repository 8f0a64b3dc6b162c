"""A group small enough to work out by hand, groups drawn at random, and ways to scale credit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from stages.pure.objectives.arrays import Advantage, RoundArrays, Segments

NAN = float("nan")
AS_IT_IS: dict[str, Any] = {"credit_baseline": "none", "credit_scale": "none"}
CENTRED: dict[str, Any] = {"credit_baseline": "group_mean", "credit_scale": "none"}
NORMALIZED: dict[str, Any] = {"credit_baseline": "group_mean", "credit_scale": "group"}

# Three rollouts of one problem, four tokens a segment: two attempts and the answer; one attempt and
# the answer; an answer at once. The attempts miss, hit, and are lost by their verifier; the first
# is called right.
SEGMENTS = Segments(
    rollout=np.array([0, 0, 0, 1, 1, 2]),
    group=np.zeros(6, dtype=int),
    start_tokens=np.array([0, 4, 8, 0, 4, 0]),
    end_tokens=np.array([4, 8, 12, 4, 8, 4]),
    gain=np.array([-0.25, 0.75, NAN, 0.25, NAN, NAN]),
    is_thinking=np.array([True, True, False, True, False, False]),
    is_stop=np.zeros(6, dtype=bool),
    is_attempt=np.array([True, True, False, True, False, False]),
    is_repeat=np.zeros(6, dtype=bool),
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
    normalize_by_std=False,
    std_epsilon=0.0,
    budget_tokens=8,
    control=None,
    seed=0,
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
    ends, nowhere = 4 * index + 4, np.zeros(len(rollout), dtype=bool)
    return Segments(
        rollout=rollout,
        group=np.zeros(len(rollout), dtype=int),
        start_tokens=4 * index,
        end_tokens=ends,
        gain=gain,
        is_thinking=~nowhere,
        is_stop=nowhere,
        is_attempt=is_attempt,
        is_repeat=nowhere,
        attempt_grade=grades,
        verdict_grade=1 - grades,
        used_tokens=ends,
    )


def arrays_of(segments: Segments, outcome: np.ndarray) -> RoundArrays:
    """A round of these segments, all thinking, whose rollouts are of one problem."""
    thinking = np.bincount(segments.rollout, minlength=len(outcome)) * 4
    return ARRAYS._replace(
        outcome=outcome,
        rewards=outcome,
        groups=np.zeros(len(outcome), dtype=int),
        thinking_tokens=thinking,
        segments=segments,
        std_epsilon=1e-4,
    )


def assert_advantage(advantage: Advantage, outcome: list[float], credit: list[float]) -> None:
    assert advantage.outcome == pytest.approx(outcome, abs=1e-12, nan_ok=True)
    assert advantage.credit == pytest.approx(credit, abs=1e-12)
