"""A round in a few numbers: by hand, and the same however its rollouts are cut into batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.course.round_summary import RoundSummary

NAN = float("nan")


def summed(
    problem: list[int], reward: list[float], cut: int | None = None
) -> dict[str, float | None]:
    """Numbers of rollouts that are right where their reward is 1, added in one or two batches."""
    summary = RoundSummary(5)
    places = np.array(problem, dtype=int)
    rewards = np.array(reward, dtype=float)
    for part in (slice(0, cut), slice(cut, None)) if cut is not None else (slice(None),):
        summary.add(
            places[part],
            rewards[part],
            rewards[part] == 1,
            thinking_tokens=10 * (places[part] + 1),
            unparsable=rewards[part] == 0,
            unended=np.isnan(rewards[part]),
        )
    return summary.numbers()


def test_a_round_by_hand() -> None:
    """Problem 0 is solved once of two, 1 always, 2 has a failed verifier; 3 and 4 are not asked."""
    numbers = summed([0, 0, 1, 1, 2], [1, 0, 1, 1, NAN])
    assert numbers == {
        "reward": 0.75,
        "success": 0.75,
        "success_stderr": 0.25,  # of .5 and 1
        "thinking_tokens": 18.0,
        "one_outcome_frac": pytest.approx(2 / 3, abs=1e-6),
        "unparsable_frac": 0.2,
        "unended_frac": 0.2,
        "repeat_frac": None,
    }


def test_partial_credit_is_reward_and_no_success() -> None:
    numbers = summed([0, 0], [0.5, 0.5])
    assert numbers["reward"] == 0.5
    assert numbers["success"] == 0
    assert numbers["success_stderr"] is None
    assert numbers["one_outcome_frac"] == 1


def test_repeats_are_a_share_of_segments() -> None:
    summary = RoundSummary(1)
    summary.add_segments(3, 1)
    summary.add_segments(1, 0)
    assert summary.numbers()["repeat_frac"] == 0.25


def test_a_round_without_rollouts_has_no_numbers() -> None:
    assert not [value for value in RoundSummary(0).numbers().values() if value is not None]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.5, 1.0, NAN])), min_size=1),
    st.data(),
)
def test_batches_make_no_difference(rows: list[tuple[int, float]], data: st.DataObject) -> None:
    problems, rewards = [row[0] for row in rows], [row[1] for row in rows]
    cut = data.draw(st.integers(0, len(rows)))
    assert summed(problems, rewards, cut) == summed(problems, rewards)
