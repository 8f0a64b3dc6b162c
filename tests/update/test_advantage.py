"""Advantages follow the recipe's objective, segment by segment; each objective has its formula."""

import inspect
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stages.contracts.params.base import variants
from stages.contracts.params.recipes.objective import Objective
from stages.update.advantage import FORMULAS
from tests.update.by_hand import OBJECTIVES, RECIPE, on_tokens, summed_advantages, update

TO_GO = {"credit_discount": 1.0}


def test_every_objective_has_a_formula_that_takes_its_keys() -> None:
    assert {*FORMULAS} == {*variants(Objective).values()}
    for objective, formula in FORMULAS.items():
        taken = [*inspect.signature(formula).parameters][1:]
        assert sorted(taken) == sorted({*objective.model_fields} - {"name", "gain"})


def test_the_objectives_here_are_all_there_are() -> None:
    assert {*OBJECTIVES} == {*variants(Objective)}


def test_outcome_gives_every_token_of_a_rollout_the_same() -> None:
    by_token = summed_advantages("outcome")
    assert by_token[:2] == [[0.5] * 6, [-0.5] * 5]
    assert np.isnan(by_token[2]).all()
    assert by_token[3:] == [[0.0] * 3, [0.0] * 3]


def test_information_adds_to_each_segment_its_own_progress() -> None:
    by_token = summed_advantages("information")
    assert by_token[0] == [0.75, 0.75, 1.0, 1.0, 0.5, 0.5]
    assert by_token[1] == [-1.25] * 3 + [-0.5] * 2
    assert by_token[3:] == [[0.5, 0.5, 0.0], [0.25, 0.25, 0.0]]


def test_information_to_go_adds_what_is_to_come() -> None:
    assert summed_advantages("information", TO_GO)[0] == [1.25, 1.25, 1.0, 1.0, 0.5, 0.5]
    discounted = summed_advantages("information", {"credit_discount": 0.5})
    assert discounted[0] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


def test_regret_discounts_progress_by_the_tokens_before_it() -> None:
    by_token = summed_advantages("regret", {**TO_GO, "token_discount": 0.5})
    first, second = 0.25 / 4, 0.5 / 16
    assert by_token[0] == [0.5 + first + second] * 2 + [0.5 + second] * 2 + [0.5] * 2


def test_process_adds_grades_to_come() -> None:
    """A miss and a hit called right; a hit called wrong; no grade; a miss called wrong."""
    by_token = summed_advantages("process", TO_GO)
    assert by_token[0] == [0.5 + 2] * 2 + [0.5 + 2] * 2 + [0.5] * 2
    assert by_token[1] == [-0.5 + 1] * 3 + [-0.5] * 2
    assert by_token[3:] == [[0.0] * 3, [1.0, 1.0, 0.0]]


def test_correction_pays_for_the_step_from_first_attempt_to_answer() -> None:
    by_token = summed_advantages("correction")
    assert by_token[0] == [0.5] * 2 + [1.5] * 4
    assert by_token[1] == [-0.5] * 3 + [-1.5] * 2
    assert by_token[3:] == [[0.0] * 3, [0.0, 0.0, 1.0]]  # an unknown first verdict: no bonus
    assert all(anchored.any() for anchored in on_tokens("correction").is_anchored)


def test_correction_begins_by_holding_the_first_attempt() -> None:
    by_token = summed_advantages("correction_start", kl_coefficient=0.1)
    assert by_token[0] == [0.0] * 2 + [0.5] * 4
    assert by_token[1] == [0.0] * 3 + [-0.5] * 2
    anchored = on_tokens("correction_start", kl_coefficient=0.1).is_anchored
    assert anchored[0].tolist() == [True] * 2 + [False] * 4
    assert anchored[1].tolist() == [True] * 3 + [False] * 2
    assert anchored[2].tolist() == [True] * 4  # without an attempt all of it is the first


def test_offline_weighs_the_correct_rollouts_of_most_progress() -> None:
    half = summed_advantages("offline")
    assert half[0] == [1.0] * 6
    assert half[1] == [0.0] * 5
    assert half[3:] == [[1.0] * 3, [0.0] * 3]
    assert summed_advantages("offline", {"keep_frac": 1.0})[3:] == [[1.0] * 3, [1.0] * 3]


@pytest.mark.parametrize(
    ("objective", "changes", "reason"),
    [
        ("correction_start", {}, "needs kl_coefficient"),
        ("offline", {"importance_correction": {"kind": "mask", "cap": 2.0}}, "no use for"),
    ],
)
def test_settings_without_a_meaning_are_refused(
    objective: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        update(objective, **changes)


def test_a_length_penalty_comes_before_the_groups_mean() -> None:
    """Of budget 27: rewards 1 - 4/27 and 0 - 3/27; equal answers of equal length gain nothing."""
    by_token = summed_advantages("outcome", length_penalty=1.0)
    assert by_token[0] == pytest.approx([(1 - 4 / 27 + 3 / 27) / 2] * 6, abs=1e-12)
    assert by_token[3:] == [[0.0] * 3, [0.0] * 3]


def test_the_groups_std_divides_credit_where_asked() -> None:
    plain = on_tokens("information").credit
    divided = on_tokens("information", {"normalize_credit_by_std": True}).credit
    spread = np.std([0.25, 0.5, -0.75, 0.0]) + RECIPE.update.std_epsilon
    assert divided[0] == pytest.approx(plain[0] / spread, abs=1e-12)
