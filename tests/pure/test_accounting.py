"""Every rollout gets exactly one status, so counts add up; shares and rates by hand."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.accounting import (
    Mismatch,
    Status,
    VerdictRates,
    credit_share,
    group_shares,
    mismatch,
    statuses,
    verdict_rates,
)

REASONS = st.lists(st.tuples(*[st.booleans()] * 4), max_size=20)
NAN = float("nan")


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((False, False, False, False), Status.TRAINED),
        ((False, False, False, True), Status.FILTERED_ZERO_ADVANTAGE),
        ((False, False, True, True), Status.FILTERED_GROUP),
        ((False, True, True, True), Status.TRUNCATED),
        ((True, True, True, True), Status.ERRORED),  # a failed verifier comes before all else
        ((True, False, False, False), Status.ERRORED),
        ((False, True, False, False), Status.TRUNCATED),
        ((False, False, True, False), Status.FILTERED_GROUP),
    ],
)
def test_the_first_reason_that_applies(reasons: tuple[bool, ...], expected: Status) -> None:
    assert statuses(*(np.array([reason]) for reason in reasons)) == [expected]


@given(REASONS)
def test_one_status_a_rollout_and_the_sums_match(rollouts: list[tuple[bool, ...]]) -> None:
    columns = np.array(rollouts, dtype=bool).reshape(-1, 4).T
    counts = Counter(statuses(*columns))
    assert sum(counts[status] for status in Status) == len(rollouts)
    assert counts[Status.ERRORED] == columns[0].sum()
    assert counts[Status.TRUNCATED] == (columns[1] & ~columns[0]).sum()
    assert counts[Status.TRAINED] == (~columns.any(axis=0)).sum()


def test_columns_of_different_lengths_are_refused() -> None:
    flags = np.zeros(2, dtype=bool)
    with pytest.raises((AssertionError, TypeError)):  # by hand, or where shapes are executed
        statuses(flags, flags[:1], flags, flags)


def test_credit_share_by_hand() -> None:
    outcome = [np.array([1.0, -0.5, 0.0]), np.array([0.0])]
    credit = [np.array([0.0, 0.5, -2.0]), np.array([0.0])]
    assert credit_share(outcome, credit) == pytest.approx((0 + 0.5 + 1 + 0) / 4, abs=1e-12)
    assert credit_share([], []) == 0.0


def test_verdict_rates_by_hand() -> None:
    claims = np.array([1.0, 1.0, 0.0, 0.0, 0.0, NAN, 1.0])
    truths = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, NAN])
    assert verdict_rates(claims, truths) == VerdictRates(1 / 3, 1 / 2)


def test_there_is_no_rate_of_what_there_is_none_of() -> None:
    assert verdict_rates(np.array([1.0]), np.array([1.0])) == VerdictRates(None, 0.0)
    assert verdict_rates(np.array([1.0]), np.array([0.0])) == VerdictRates(1.0, None)
    assert verdict_rates(np.array([NAN]), np.array([NAN])) == VerdictRates(None, None)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
def test_a_policy_that_contradicts_itself_everywhere_swaps_its_rates(
    pairs: list[tuple[bool, bool]],
) -> None:
    claims, truths = (np.array([pair[i] for pair in pairs], dtype=float) for i in range(2))
    rates, turned = verdict_rates(claims, truths), verdict_rates(1 - claims, truths)
    for rate, other in zip(rates, turned, strict=True):
        assert (rate is None and other is None) or rate + other == pytest.approx(1, abs=1e-12)


def test_group_shares_by_hand() -> None:
    shares = group_shares(np.array([1.0, 2.0, 1.0]), np.array([0, 2, 0]))
    assert shares.tolist() == [0.5, 0.5, 0.5]
    assert group_shares(np.zeros(2), np.array([0, 1])).tolist() == [0.0, 0.0]


def test_mismatch_by_hand() -> None:
    """Weights 1, 2 and 1/2: (3.5)^2 / (1 + 4 + .25) over three tokens."""
    two = math.log(2)
    found = mismatch([np.array([0.0]), np.array([two, -two])])
    assert found[:3] == pytest.approx((3, 2 * two / 3, two))
    assert found.ess_frac == pytest.approx(3.5**2 / 5.25 / 3)
    assert found.largest == (1, 0)
    assert mismatch([np.array([0.1]), np.zeros(0), np.array([0.0, -0.5])]).largest == (2, 1)


def test_without_tokens_nothing_differs() -> None:
    assert mismatch([]) == mismatch([np.zeros(0)]) == Mismatch(0, 0.0, 0.0, 1.0, (0, 0))


@pytest.mark.parametrize("odd", [NAN, math.inf, -math.inf])
def test_what_is_no_number_is_beyond_every_limit(odd: float) -> None:
    found = mismatch([np.array([0.0, odd])])
    assert found == Mismatch(2, math.inf, math.inf, 0.0, (0, 1))


@given(st.lists(st.lists(st.floats(-5, 5), max_size=5), max_size=5))
def test_mismatch_has_bounds(differences: list[list[float]]) -> None:
    arrays = [np.array(values, dtype=float) for values in differences]
    found = mismatch(arrays)
    assert 0 <= found.mean_nats <= found.max_nats + 1e-12
    assert 0 < found.ess_frac <= 1 + 1e-9
    if found.num_tokens:
        assert abs(arrays[found.largest[0]][found.largest[1]]) == found.max_nats
