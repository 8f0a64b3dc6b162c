"""Controls by hand and by property; within objectives: objectives/test_credited.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.controls import after_scale, before_scale, bonus, flat, shuffled

NAN = float("nan")
CREDIT = np.array([1.0, 2.0, NAN, 3.0, 5.0, NAN])
ROLLOUTS, GROUPS = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.just(NAN), st.floats(-1, 1))), min_size=1, max_size=20
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_flat_and_bonus_by_hand() -> None:
    assert flat(CREDIT, ROLLOUTS) == pytest.approx([1.5, 1.5, NAN, 3, 5, NAN], nan_ok=True)
    assert bonus(CREDIT) == pytest.approx([2.75, 2.75, NAN, 2.75, 2.75, NAN], nan_ok=True)
    assert bonus(np.zeros(0)).shape == (0,)


@given(ROWS, st.integers(0, 99))
def test_shuffled_keeps_each_groups_values_and_where_there_are_none(
    rows: list[tuple[int, float]], seed: int
) -> None:
    groups, credit = (np.array(column) for column in zip(*rows, strict=True))
    dealt = shuffled(credit, groups, rng(seed))
    assert (np.isnan(dealt) == np.isnan(credit)).all()
    for group in np.unique(groups):
        assert np.array_equal(
            np.sort(dealt[groups == group]), np.sort(credit[groups == group]), equal_nan=True
        )


def test_shuffled_forgets_who_earned_what() -> None:
    """Over seeds each segment gets each of its group's credits alike."""
    means = np.mean([shuffled(CREDIT, GROUPS, rng(seed)) for seed in range(2000)], axis=0)
    assert means[[0, 1, 3]] == pytest.approx([2, 2, 2], abs=0.06)
    assert means[4] == 5


def test_each_control_has_its_place() -> None:
    places = {"shuffled": (True, False), "shuffled_rounds": (True, False)}
    places |= {"flat": (True, False), "bonus": (False, True), None: (False, False)}
    for control, (before, after) in places.items():
        moved = before_scale(CREDIT, ROLLOUTS, GROUPS, control, rng(3))
        assert (not np.array_equal(moved, CREDIT, equal_nan=True)) == before, control
        held = after_scale(CREDIT, control)
        assert (not np.array_equal(held, CREDIT, equal_nan=True)) == after, control
    mixed = before_scale(CREDIT, ROLLOUTS, GROUPS, "shuffled_rounds", rng(3))
    assert mixed[4] != 5  # from another problem
