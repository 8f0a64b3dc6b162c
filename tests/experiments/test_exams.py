"""Exams at every temperature, and the choice of one, by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from experiments.exams import Level, align, best_curves, levels
from stages.running.errors import BadInput

HOT, COLD = 1.0, 0.35
NAMES = ["split", "difficulty", "problem_id"]


def exam(rewards: Mapping[str, Sequence[float]], split: str = "heldout") -> pd.DataFrame:
    """One exam: of each problem success at 0 and 8 tokens, hot, then cold."""
    rows = [(split, 3, name) for name in rewards]
    columns = pd.MultiIndex.from_product([[HOT, float(np.float32(COLD))], [0, 8]])
    return pd.DataFrame([*rewards.values()], pd.MultiIndex.from_tuples(rows, names=NAMES), columns)


def test_temperatures_stand_in_the_order_of_the_exam() -> None:
    arrays, problems = align({"a": [exam({"p": [0.0, 0.25, 0.5, 1.0]})]}, [COLD, HOT])
    assert arrays["a"].tolist() == [[[[0.5, 1.0]], [[0.0, 0.25]]]]
    assert problems.is_heldout.tolist() == [True]


def test_a_problem_that_some_exam_could_not_verify_is_left_out_of_all() -> None:
    known, unknown = exam({"p": [0, 1, 0, 1], "q": [0.0] * 4}), exam({"p": [1.0] * 4})
    unknown.loc[("heldout", 3, "q"), :] = [0, 0, np.nan, 0]
    success, problems = align({"a": [known, known], "b": [known, unknown]}, [HOT, COLD])
    assert success["a"].shape == (2, 2, 1, 2)
    assert (problems.index.tolist(), problems.num_unverified) == ([("heldout", 3, "p")], 1)
    with pytest.raises(BadInput, match="none was verified"):
        align({"a": [exam({"p": [np.nan, 1, 1, 1]})]}, [HOT, COLD])


def test_exams_on_other_problems_or_temperatures_are_refused() -> None:
    first = exam({"p": [0, 1, 0, 1]})
    for other in (exam({"q": [0, 1, 0, 1]}), first.rename(columns={8: 9}, level=1)):
        with pytest.raises(BadInput, match="b: its exams asked other problems"):
            align({"a": [first], "b": [other]}, [HOT, COLD])


def test_levels_are_those_that_are_examined() -> None:
    both = pd.concat(
        [exam({"p": [0.0] * 4}), exam({"q": [0.0] * 4, "r": [0.0] * 4}, split="reserved")]
    )
    _, problems = align({"a": [both]}, [HOT, COLD])
    counts = {}
    for name, one in levels(problems).items():
        counts[name] = one.heldout.sum(), one.reserved.sum()
    assert counts == {"all": (1, 2), "difficulty_3": (1, 2)}


def test_the_best_temperature_is_chosen_on_reserved_problems_over_all_runs() -> None:
    """On the held-out one cold looks better; on the reserved one hot is, over both runs."""
    success = np.zeros((2, 1, 2, 2, 1))  # run exam temperature problem budget
    success[:, 0, 0, 0, 0], success[:, 0, 1, 0, 0] = 0.25, 1.0
    success[:, 0, 0, 1, 0], success[:, 0, 1, 1, 0] = [1.0, 0.0], [0.0, 0.5]
    level = Level(np.array([True, False]), np.array([False, True]))
    curves = best_curves(success, level, 0, [HOT, COLD])
    assert curves.chosen.tolist() == [0]
    assert curves.success.tolist() == [[[[0.25]]], [[[0.25]]]]


def test_without_reserved_problems_it_is_the_first() -> None:
    success = np.arange(4.0).reshape(1, 2, 2, 1, 1)
    curves = best_curves(success, Level(np.array([True]), np.array([False])), 0, [HOT, COLD])
    assert curves.chosen.tolist() == [0, 0]
    assert curves.success.ravel().tolist() == [0, 2]
