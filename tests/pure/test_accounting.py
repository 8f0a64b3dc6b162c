"""Every rollout gets exactly one status, so counts add up."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.accounting import Status, statuses

ROLLOUTS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, np.nan]), st.booleans(), st.sampled_from([0.0, 1e-12, 2.5])), max_size=20
)
NAN = float("nan")


@pytest.mark.parametrize(
    ("reward", "is_truncated", "largest", "mask_truncated", "expected"),
    [
        (1.0, False, 0.4, True, Status.TRAINED),
        (0.0, False, 0.4, True, Status.TRAINED),
        (0.0, False, 0.0, True, Status.FILTERED_ZERO_ADVANTAGE),
        (0.0, True, 0.4, True, Status.TRUNCATED),
        (0.0, True, 0.4, False, Status.TRAINED),
        (0.0, True, 0.0, True, Status.TRUNCATED),
        (0.0, True, 0.0, False, Status.FILTERED_ZERO_ADVANTAGE),
        (NAN, False, NAN, True, Status.ERRORED),
        (NAN, True, 0.0, True, Status.ERRORED),  # a failed verifier comes before all else
    ],
)
def test_the_first_reason_that_applies(
    reward: float, is_truncated: bool, largest: float, mask_truncated: bool, expected: Status
) -> None:
    found = statuses(np.array([reward]), np.array([is_truncated]), np.array([largest]), mask_truncated)
    assert found == [expected]


@given(ROLLOUTS, st.booleans())
def test_one_status_a_rollout_and_the_sums_match(
    rollouts: list[tuple[float, bool, float]], mask_truncated: bool
) -> None:
    rewards, truncated, largest = (np.array([row[i] for row in rollouts], dtype=kind) for i, kind in enumerate("d?d"))
    found = statuses(rewards, truncated, largest, mask_truncated)
    counts = Counter(found)
    assert sum(counts[status] for status in Status) == len(rollouts)
    assert counts[Status.ERRORED] == np.isnan(rewards).sum()
    assert counts[Status.TRUNCATED] == (mask_truncated & truncated & ~np.isnan(rewards)).sum()
    assert counts[Status.TRAINED] == (~np.isnan(rewards) & ~(mask_truncated & truncated) & (largest > 0)).sum()


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises((ValueError, TypeError)):
        statuses(np.ones(2), np.zeros(1, dtype=bool), np.ones(2), True)
