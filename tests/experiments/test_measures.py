"""What is measured of an arm, by hand; `test_results` has the rest on a whole experiment."""

import numpy as np

from experiments.measures import by_init, means


def test_the_init_is_the_unit() -> None:
    """Two inits gain .2 and .4, two runs each: t = .3 / (.1 √2 / √2) = 3, one degree of freedom."""
    difference = np.array([[0.1, 0.1], [0.4, 0.4], [0.3, 0.3], [0.4, 0.4]])
    summary = by_init(difference, [1, 2, 1, 2])
    assert summary == {"mean": 0.3, "num_inits": 2, "t": 3.0, "p": 0.2048}
    assert by_init(difference[:1], [1])["t"] is None


def test_means_are_of_the_runs_that_have_a_value() -> None:
    values = np.array([[1.0, np.nan, np.nan], [2.0, 4.0, np.nan]])
    assert means(values) == [1.5, 4.0, None]
