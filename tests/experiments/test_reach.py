"""Cost by hand, against the exam's own formula, and intervals that hold a truth that is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from experiments.reach import LearningCurve, Reach, at_cost, cost_to_reach, reach, widened
from stages.pure.estimates import Estimate
from stages.pure.exam import tokens_to_reach

UNIT = st.floats(0, 1, allow_subnormal=False)
ASKED = 400, 0.95, 1


def curve(
    by_run: list[list[float]], spent: list[list[float]], num_problems: int = 3
) -> LearningCurve:
    """Every problem succeeds alike."""
    return LearningCurve(
        np.repeat(np.array(by_run)[..., None], num_problems, axis=2), np.array(spent, dtype=float)
    )


def test_success_at_a_cost_by_hand() -> None:
    success = np.array([[0.0, 0.4, 0.6], [0.2, 0.8, 0.4]])[:, :, None, None]
    spent = np.array([[0.0, 10, 20], [0.0, 4, 8]])
    # The first run is half way to its second exam, the second a quarter of the way to its third.
    assert at_cost(success, spent, 5.0)[:, 0, 0] == pytest.approx([0.2, 0.7])
    assert at_cost(success, spent, 100.0)[:, 0, 0] == pytest.approx([0.6, 0.4])


@given(
    arrays(float, (3, 4, 2, 2), elements=UNIT),
    arrays(float, (3, 3), elements=st.floats(0.5, 9)),
    st.integers(0, 3),
)
def test_at_an_exams_own_cost_success_is_that_exams(
    success: np.ndarray, steps: np.ndarray, exam: int
) -> None:
    spent = np.concatenate([np.zeros((3, 1)), steps.cumsum(axis=1)], axis=1)
    for run in range(3):
        assert at_cost(success, spent, spent[run, exam])[run] == pytest.approx(
            success[run, exam], abs=1e-9
        )


def test_cost_to_reach_by_hand() -> None:
    success = np.array([[0.0, 0.2, 0.6], [0.5, 0.1, 0.9], [0.0, 0.1, 0.2], [0.0, 0.5, 0.5]])
    spent = np.array([[0.0, 10, 30], [0.0, 10, 30], [0.0, 10, 30], [0.0, 8, 30]])
    costs = cost_to_reach(success, spent, np.array([0.4, 0.4, 0.4, 0.5]))
    assert costs.tolist() == pytest.approx([20, 0, math.inf, 8])


@given(arrays(float, (5, 4), elements=UNIT), UNIT)
def test_with_equal_costs_it_is_the_exams_formula(success: np.ndarray, level: float) -> None:
    spent = np.array([0, 3, 7, 20])
    costs = cost_to_reach(success, np.tile(spent.astype(float), (5, 1)), np.full(5, level))
    # A level missed by no more than rounding counts as reached here; keep clear of it.
    is_clear = (np.abs(success - level) > 1e-9).all(axis=1)
    assert costs[is_clear] == pytest.approx(tokens_to_reach(success, spent, level)[is_clear])


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_same_course_at_a_factor_of_the_cost_has_that_ratio(factor: float) -> None:
    runs = [[0.1, 0.3, 0.5], [0.1, 0.35, 0.55]]
    baseline = curve(runs, [[0, 10, 20]] * 2)
    arm = curve(
        [[0.1, 0.3, 0.7]] * 2, [[0, 10 * factor, 10 * factor + 0.4 / 0.225 * 10 * factor]] * 2
    )
    reached = reach(baseline, arm, *ASKED)
    assert reached.level == pytest.approx(0.525)
    assert reached.ratio.mean == pytest.approx(factor)
    assert reached.inverse.mean == pytest.approx(1 / factor)
    assert (reached.never_frac, reached.undefined_frac) == (0, 0)


def test_runs_that_agree_leave_no_doubt() -> None:
    baseline = curve([[0, 0, 0.5]] * 3, [[0, 10, 20]] * 3)
    arm = curve([[0, 0.5, 1]] * 3, [[0, 10, 20]] * 3)
    assert reach(baseline, arm, *ASKED).ratio == Estimate(0.5, 0.5, 0.5)


def test_an_arm_that_never_gets_there_is_infinite_and_its_inverse_nothing() -> None:
    baseline = curve([[0, 0.2, 0.5]] * 2, [[0, 10, 20]] * 2)
    # One of two runs gets there, far enough for both.
    arm = curve([[0, 0.1, 0.1], [0, 0.4, 0.9]], [[0, 10, 20]] * 2)
    reached = reach(baseline, arm, *ASKED)
    assert reached.ratio.mean == pytest.approx(1.0)
    assert math.isinf(reached.ratio.high)
    assert reached.inverse.low == 0
    assert reached.never_frac == pytest.approx(0.25, abs=0.06)  # both draws are the first run
    lost = reach(baseline, curve([[0, 0.1, 0.1]] * 2, [[0, 10, 20]] * 2), *ASKED)
    assert (lost.ratio.mean, lost.inverse.mean, lost.never_frac) == (math.inf, 0, 1)


def test_a_baseline_that_learns_nothing_gives_no_ratio() -> None:
    still = curve([[0.5, 0.5, 0.5]] * 2, [[0, 10, 20]] * 2)
    reached = reach(still, curve([[0.5, 0.6, 0.7]] * 2, [[0, 10, 20]] * 2), *ASKED)
    assert reached.undefined_frac == 1
    assert all(math.isnan(value) for value in reached.ratio)
    assert reached.ratio.rounded() == {"mean": None, "low": None, "high": None}


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_inverse_of_an_interval_is_an_interval(one: float, other: float) -> None:
    low, high = sorted([one, other])
    inverse = Reach(0.5, Estimate((low + high) / 2, low, high), 0, 0).inverse
    assert inverse.low <= inverse.mean * (1 + 1e-12)
    assert inverse.mean <= inverse.high * (1 + 1e-12)


def test_intervals_are_wider_the_fewer_the_runs() -> None:
    resampled = np.linspace(0, 1, 1001)
    influences = [np.resize([1.0, -1.0], size) for size in (2, 4, 10, 1000)]
    widths = [
        (estimate := widened(0.5, resampled, [rows], 0.95)).high - estimate.low
        for rows in [*influences, np.zeros(9)]
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(0.95, abs=0.002)
    # 10 rows: t = 2.262, times sqrt(10/9) 2.3845: Φ of it is 0.99145.
    assert widened(0.5, resampled, [influences[2]], 0.95).high == pytest.approx(0.992, abs=1e-9)
    # Two such samples have 18 degrees of freedom: 2.101, times sqrt(10/9) 2.2146: 0.98661.
    assert widened(0.5, resampled, [influences[2]] * 2, 0.95).high == pytest.approx(0.987, abs=1e-9)


EASE = np.linspace(0.05, 0.35, 60)


def simulated(rng: np.random.Generator, num_runs: int, pace: float) -> LearningCurve:
    """Success rises by `pace` an exam on unlike problems; runs differ in pace; answers by luck."""
    rises = pace * (1 + 0.3 * rng.normal(size=(num_runs, 1, 1))) * np.arange(5)[:, None]
    chances = np.clip(EASE + rises, 0, 1)
    return LearningCurve(
        rng.binomial(4, chances) / 4, np.tile(1000.0 * np.arange(5), (num_runs, 1))
    )


def test_the_two_level_interval_holds_the_truth() -> None:
    """Twice the pace is half the cost.

    An interval over problems alone would miss what runs differ by.
    """
    held, trials = {"both": 0, "problems": 0}, 150
    for trial in range(trials):
        rng = np.random.default_rng([3, trial])
        curves = [simulated(rng, 4, pace) for pace in (0.05, 0.1)]
        together = [LearningCurve(c.success.mean(axis=0)[None], c.spent[:1]) for c in curves]
        for name, (baseline, arm) in (("both", curves), ("problems", together)):
            ratio = reach(baseline, arm, 200, 0.95, trial).ratio
            held[name] += ratio.low <= 0.5 <= ratio.high
    assert held["both"] / trials >= 0.93
    assert held["problems"] / trials <= 0.85


def paired(rng: np.random.Generator, num_runs: int) -> tuple[LearningCurve, LearningCurve]:
    """As `simulated`, with pairs more unlike than their members: an init serves both arms."""
    paces = 0.05 * np.exp(0.6 * rng.normal(size=(num_runs, 1, 1)))
    chances = (np.clip(EASE + factor * paces * np.arange(5)[:, None], 0, 1) for factor in (1, 2))
    spent = np.tile(1000.0 * np.arange(5), (num_runs, 1))
    baseline, arm = (LearningCurve(rng.binomial(4, chance) / 4, spent) for chance in chances)
    return baseline, arm


def test_what_both_arms_of_a_pair_share_is_no_doubt() -> None:
    """Shuffled, the same runs leave the ratio open; in pairs the interval holds it, and not 1."""
    held, excluded, excluded_shuffled, trials = 0, 0, 0, 60
    for trial in range(trials):
        rng = np.random.default_rng([4, trial])
        baseline, arm = paired(rng, 6)
        ratio = reach(baseline, arm, 200, 0.95, trial).ratio
        shuffled = reach(
            baseline, LearningCurve(arm.success[::-1], arm.spent), 200, 0.95, trial
        ).ratio
        held += ratio.low <= 0.5 <= ratio.high
        excluded += ratio.high < 1
        excluded_shuffled += shuffled.high < 1
    assert held / trials >= 0.93
    assert excluded / trials >= 0.9
    assert excluded_shuffled < 0.75 * excluded
