"""What is measured of an arm, by hand; `test_results` has the rest on a whole experiment."""

import numpy as np

from experiments.measures import by_init, means, num_fallen


def test_the_init_is_the_unit() -> None:
    """Two inits gain .2 and .4, two runs each: t = .3 / (.1 √2 / √2) = 3, one degree of freedom."""
    difference = np.array([[0.1, 0.1], [0.4, 0.4], [0.3, 0.3], [0.4, 0.4]])
    summary = by_init(difference, [1, 2, 1, 2])
    assert summary == {"mean": 0.3, "num_inits": 2, "t": 3.0, "p": 0.2048}
    assert by_init(difference[:1], [1])["t"] is None


def test_means_are_of_the_runs_that_have_a_value() -> None:
    values = np.array([[1.0, np.nan, np.nan], [2.0, 4.0, np.nan]])
    assert means(values) == [1.5, 4.0, None]


def test_runs_that_ended_below_their_best_exam() -> None:
    """Of 8 problems: none lost, two lost (z = .25 / .164 = 1.5), six lost (z = 4.6)."""
    best, start = np.ones(8), np.zeros(8)

    def run(num_lost: int) -> np.ndarray:
        return np.stack([start, best, np.arange(8) >= num_lost])

    assert num_fallen(np.stack([run(0)])) == 0
    assert num_fallen(np.stack([run(2)])) == 0
    assert num_fallen(np.stack([run(6), run(0), run(8)])) == 2
    assert num_fallen(np.stack([best[None]])) == 0
    assert num_fallen(np.stack([run(8)[:, :1]])) == 0  # of one problem no noise is known
