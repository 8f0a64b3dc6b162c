"""Rates of drift: ratios of sums, by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.drift import RATES, rates

COLUMNS = {column for pair in RATES.values() for column in pair}


def counts(
    num_repeats: list[list[float]], num_segments: list[list[float]]
) -> dict[str, np.ndarray]:
    """Counts of which only repeats matter, at the second of two temperatures."""
    by_column = {name: np.ones(np.shape(num_repeats)) for name in COLUMNS}
    by_column |= {"num_repeats": np.array(num_repeats), "num_segments": np.array(num_segments)}
    return {name: np.stack([0 * values, values], axis=1) for name, values in by_column.items()}


def test_a_rate_divides_sums_and_does_not_average_ratios() -> None:
    """1 of 1 and 0 of 3 are 1 of 4, not 1 of 2."""
    values = rates(counts([[1.0, 0]], [[1.0, 3]]), 1, np.array([True, True]))["repeat_frac"]
    np.testing.assert_allclose(values.mean(), 0.25)
    np.testing.assert_allclose(values, [[0.25 + (1 - 0.25) / 2, 0.25 - 0.75 / 2]])


def test_only_the_problems_of_the_mask_count() -> None:
    values = rates(counts([[1.0, 0]], [[1.0, 3]]), 1, np.array([False, True]))["repeat_frac"]
    np.testing.assert_allclose(values, [[0.0]])


def test_a_rate_of_nothing_is_left_out() -> None:
    assert "repeat_frac" not in rates(counts([[0.0, 0]], [[0.0, 0]]), 1, np.array([True, True]))


@given(
    arrays(float, (3, 5), elements=st.integers(0, 6)),
    arrays(float, (3, 5), elements=st.integers(1, 9)),
)
def test_the_mean_is_the_rate(above: np.ndarray, below: np.ndarray) -> None:
    values = rates(counts(above.tolist(), below.tolist()), 1, np.ones(5, dtype=bool))["repeat_frac"]
    np.testing.assert_allclose(values.mean(), above.sum() / below.sum())
