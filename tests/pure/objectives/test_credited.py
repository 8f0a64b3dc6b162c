"""What stands beside credit, by hand: thinking, the choice to stop, the answer; and controls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.objectives.credited import credited
from tests.pure.objectives.by_hand import (
    ARRAYS,
    LISTS,
    NAN,
    SEGMENTS,
    Rows,
    arrays_of,
    assert_advantage,
    made,
)

CREDIT = np.array([-0.25, 0.75, NAN, 0.25, NAN, NAN])


def test_the_answer_has_its_own_term_whatever_alpha() -> None:
    for alpha in (0.0, 0.5, 2.0):
        advantage = credited(ARRAYS, alpha, CREDIT, "none", "none")
        expected = [0.5 * alpha, 0.5 * alpha, 0.5, -0.25 * alpha, -0.25, -0.25]
        assert_advantage(advantage, expected, [-0.25, 0.75, 0, 0.25, 0, 0])


def test_the_choice_to_stop_has_the_outcome_as_thinking_has_it_and_no_credit() -> None:
    """The third segment is the choice; whatever credit stands there is not paid."""
    is_stop = np.arange(6) == 2
    arrays = ARRAYS._replace(segments=SEGMENTS._replace(is_stop=is_stop))
    advantage = credited(arrays, 0.0, np.ones(6), "none", "none")
    assert_advantage(advantage, [0, 0, 0, 0, -0.25, -0.25], [1, 1, 0, 1, 0, 0])


def test_controls_by_hand() -> None:
    """Flat before the scale, bonus behind it, each in the place of thinking's credit alone."""
    rms = ((0.25**2 + 0.25**2 + 0.25**2) / 3) ** 0.5
    flat = credited(ARRAYS._replace(control="flat", std_epsilon=1e-9), 0.0, CREDIT, "none", "group")
    assert flat.credit == pytest.approx([0.25 / rms, 0.25 / rms, 0, 0.25 / rms, 0, 0], abs=1e-6)
    rms = ((0.25**2 + 0.75**2 + 0.25**2) / 3) ** 0.5
    bonus = credited(ARRAYS._replace(control="bonus"), 0.0, CREDIT, "none", "group")
    mean = 0.25 / rms
    assert_advantage(bonus, [0, 0, 0.5, 0, -0.25, -0.25], [mean, mean, 0, mean, 0, 0])


@given(LISTS, st.sampled_from(["shuffled", "shuffled_rounds"]), st.integers(0, 99))
def test_dealt_anew_a_groups_credits_are_the_same_and_the_seed_says_to_whom(
    rows: Rows, control: str, seed: int
) -> None:
    arrays = arrays_of(made(rows), np.zeros(4))
    gain = arrays.segments.gain
    plain = credited(arrays, 0.0, gain, "none", "group").credit
    dealt, again = (
        credited(arrays._replace(control=control, seed=seed), 0.0, gain, "none", "group").credit
        for _ in range(2)
    )
    assert (dealt == again).all()
    assert np.sort(dealt) == pytest.approx(np.sort(plain), abs=1e-12)


@given(LISTS, st.sampled_from(["none", "group_mean"]), st.sampled_from(["none", "group", "round"]))
def test_credit_is_finite_and_bounded(rows: Rows, baseline: str, scale: str) -> None:
    arrays = arrays_of(made(rows), np.zeros(4))
    credit = credited(arrays, 0.0, arrays.segments.gain, baseline, scale).credit
    assert np.isfinite(credit).all()
    bound = 2 if scale == "none" else len(rows) ** 0.5
    assert np.abs(credit).max() <= bound + 1e-9
