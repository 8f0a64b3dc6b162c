"""The benchmark of intervals: its cases differ, and what it simulates has the truth it says."""

import numpy as np
import pytest

from benchmarks.interval_coverage import Case, cases, cover

CASES = list(cases())


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert sum(case.is_claimed for case in CASES) > 20


@pytest.mark.parametrize(
    "case", [case for case in CASES if "400" not in case.name], ids=lambda case: case.name
)
def test_simulated_exams_have_the_truth_of_their_case(case: Case) -> None:
    draws = [case.draw(np.random.default_rng([5, trial])) for trial in range(300)]
    means = np.stack([np.concatenate([part.mean(axis=0) for part in samples]) for samples in draws])
    if case.statistic is None:
        estimates = np.array([later.mean() - earlier.mean() for earlier, later in draws])
    else:
        estimates = case.statistic(means)
    assert estimates.mean() == pytest.approx(
        case.truth, abs=4 * estimates.std() / np.sqrt(len(draws)) + 1e-3
    )


def test_a_case_is_covered_and_its_width_told() -> None:
    case = next(case for case in CASES if case.name == "success 0.3, 100 problems x 2")
    coverage = cover(case, num_trials=60, num_resamples=200)
    assert coverage.is_claimed
    assert 0.85 <= coverage.ours_frac <= 1
    assert 0.85 <= coverage.percentile_frac <= 1
    assert coverage.ours_width == pytest.approx(2 * 1.96 * 0.037, rel=0.1)
