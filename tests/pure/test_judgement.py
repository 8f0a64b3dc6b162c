"""Scores against the truth: by hand, against scipy, and where a class is missing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from stages.pure.judgement import Quality, auc, balanced_weights, quality, right_probability

JUDGED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.500001, 0.9, 1.0]), st.booleans()),
    min_size=1,
    max_size=30,
)


def arrays(judged: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    scores, truths = zip(*judged, strict=True)
    return np.array(scores), np.array(truths)


@pytest.mark.parametrize(
    ("right_nats", "wrong_nats", "expected"),
    [
        (math.log(0.6), math.log(0.2), 0.75),
        (math.log(1e-9), math.log(3e-9), 0.25),  # what else the judge might say is left out
        (-2000.0, -2000.0 - math.log(3), 0.75),
        (-1.0, -5000.0, 1.0),
        (-5000.0, -1.0, 0.0),
        (-math.inf, -1.0, 0.0),
        (-math.inf, -math.inf, 0.5),
    ],
)
def test_probability_of_right_by_hand(
    right_nats: float, wrong_nats: float, expected: float
) -> None:
    assert right_probability(right_nats, wrong_nats) == pytest.approx(expected, abs=1e-12)


@given(st.floats(-500, 0), st.floats(-500, 0))
def test_right_and_wrong_add_up(one: float, other: float) -> None:
    assert right_probability(one, other) + right_probability(other, one) == pytest.approx(
        1, abs=1e-12
    )


def test_weights_by_hand() -> None:
    assert balanced_weights(np.array([True, False, False, False])).tolist() == [
        2,
        2 / 3,
        2 / 3,
        2 / 3,
    ]
    assert balanced_weights(np.array([True, False])).tolist() == [1, 1]
    assert balanced_weights(np.array([False, False])).tolist() == [0.5, 0.5]


@given(JUDGED)
def test_both_classes_weigh_half_the_answers(judged: list[tuple[float, bool]]) -> None:
    _, truths = arrays(judged)
    weights = balanced_weights(truths)
    for part in (truths, ~truths):
        assert weights[part].sum() == pytest.approx(len(truths) / 2 if part.any() else 0)


def test_quality_by_hand() -> None:
    """Right at .9 and .4, wrong at .5 and .1: three of four pairs in order, one hit of each."""
    measured = quality(np.array([0.9, 0.4, 0.5, 0.1]), np.array([True, True, False, False]))
    assert measured == pytest.approx(Quality(0.5, 0.5, 0.5, 0.75, (0.01 + 0.36 + 0.25 + 0.01) / 4))


def test_accuracy_flatters_where_balanced_accuracy_does_not() -> None:
    """A judge that always says wrong, where nine of ten answers are."""
    measured = quality(np.zeros(10), np.arange(10) == 0)
    assert (measured.accuracy, measured.balanced_accuracy, measured.auc, measured.brier) == (
        0.9,
        0.5,
        0.5,
        0.1,
    )


def test_what_a_missing_class_leaves_open() -> None:
    one = quality(np.array([0.8, 0.3]), np.array([True, True]))
    assert (one.base_rate, one.accuracy) == (1, 0.5)
    assert math.isnan(one.auc)
    assert math.isnan(one.balanced_accuracy)
    assert all(map(math.isnan, quality(np.zeros(0), np.zeros(0, dtype=bool))))


@given(JUDGED)
def test_auc_is_that_of_mann_whitney_and_of_counting_pairs(
    judged: list[tuple[float, bool]],
) -> None:
    scores, truths = arrays(judged)
    if not truths.any() or truths.all():
        assert math.isnan(auc(scores, truths))
        return
    pairs = np.sign(scores[truths][:, None] - scores[~truths][None, :])
    assert auc(scores, truths) == pytest.approx((1 + pairs.mean()) / 2, abs=1e-12)
    u = mannwhitneyu(scores[truths], scores[~truths]).statistic
    assert auc(scores, truths) == pytest.approx(u / pairs.size, abs=1e-12)


@given(JUDGED)
def test_auc_depends_on_the_order_alone(judged: list[tuple[float, bool]]) -> None:
    scores, truths = arrays(judged)
    assert auc(scores**3 / 7, truths) == pytest.approx(auc(scores, truths), nan_ok=True)
    assert auc(scores, truths) + auc(-scores, truths) == pytest.approx(1) or math.isnan(
        auc(scores, truths)
    )
