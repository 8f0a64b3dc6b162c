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


def test_myopic_adds_to_each_segment_its_own_progress() -> None:
    by_token = summed_advantages("myopic")
    assert by_token[0] == [0.75, 0.75, 1.0, 1.0, 0.5, 0.5]
    assert by_token[1] == [-1.25] * 3 + [-0.5] * 2
    assert by_token[3:] == [[0.5, 0.5, 0.0], [0.25, 0.25, 0.0]]


def test_information_adds_what_is_to_come() -> None:
    assert summed_advantages("information")[0] == [1.25, 1.25, 1.0, 1.0, 0.5, 0.5]
    discounted = summed_advantages("information", {"credit_discount": 0.5})
    assert discounted[0] == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]


def test_of_thinking_alpha_weighs_the_outcome_and_of_the_answer_nothing_does() -> None:
    """The fifth token of the first rollout is the choice to stop; the second's cue was forced."""
    outcome = on_tokens("information", {"alpha": 0.0}).outcome
    assert outcome[0].tolist() == [0, 0, 0, 0, 0, 0.5]
    assert outcome[1].tolist() == [0, 0, 0, -0.5, -0.5]


def test_anytime_weighs_progress_by_the_budgets_that_reach_it() -> None:
    halves = {"kind": "geometric", "token_discount": 0.5}
    by_token = summed_advantages("anytime", {"prior": halves})
    first, second = 0.25 / 4, 0.5 / 16
    assert by_token[0] == [0.5 + first + second] * 2 + [0.5 + second] * 2 + [0.5] * 2
    uniform = summed_advantages("anytime", {"prior": {"kind": "uniform"}})  # budget 27
    assert uniform[1] == pytest.approx([-0.5 - 0.75 * 25 / 28] * 3 + [-0.5] * 2, abs=1e-12)


def test_success_takes_the_place_of_the_reward() -> None:
    """J_k .75, 0 and none, for its verifier failed; .75 and .5."""
    by_token = summed_advantages("outcome", reward="success")
    assert by_token[0] == [0.375] * 6
    assert by_token[1] == [-0.375] * 5
    assert np.isnan(by_token[2]).all()
    assert by_token[3:] == [[0.125] * 3, [-0.125] * 3]


def test_a_control_takes_the_place_of_credit() -> None:
    """The round's seed deals: the same round the same way, and the answer nothing."""
    flat = on_tokens("myopic", control="flat").credit
    assert flat[0].tolist() == [0.375] * 4 + [0.0] * 2
    bonus = on_tokens("myopic", control="bonus").credit
    assert bonus[0].tolist() == pytest.approx([0.125] * 4 + [0.0] * 2)  # .75 over six segments
    dealt, again = (on_tokens("myopic", control="shuffled").credit for _ in range(2))
    assert all((one == other).all() for one, other in zip(dealt, again, strict=True))
    firsts = sorted(tokens[0] for tokens in dealt[:3])
    assert sorted([*firsts, dealt[0][2]]) == [-0.75, 0.0, 0.25, 0.5]


def test_a_repeat_pays_its_price() -> None:
    """Both attempts of the first rollout have the same tokens."""
    plain, charged = (summed_advantages("outcome", repeat_penalty=price) for price in (None, 0.25))
    assert charged[0] == [0.5, 0.5, 0.25, 0.25, 0.5, 0.5]
    assert charged[1] == plain[1]


def test_process_adds_grades_to_come() -> None:
    """A miss and a hit called right; a hit called wrong; no grade; a miss called wrong."""
    by_token = summed_advantages("process")
    assert by_token[0] == [0.5 + 2] * 2 + [0.5 + 2] * 2 + [0.5] * 2
    assert by_token[1] == [-0.5 + 1] * 3 + [-0.5] * 2
    assert by_token[3:] == [[0.0] * 3, [1.0, 1.0, 0.0]]


def test_correction_pays_for_the_step_from_first_attempt_to_answer() -> None:
    by_token = summed_advantages("correction")
    assert by_token[0] == [0.0] * 2 + [1.5] * 4
    assert by_token[1] == [0.0] * 3 + [-1.5] * 2  # right at first, wrong at last
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
        ("offline", {"reward": "success"}, "no use for reward success"),
        ("offline", {"repeat_penalty": 0.5}, "no use for repeat_penalty"),
        ("outcome", {"control": "flat"}, "credits no segments: control flat"),
        ("correction", {"control": "bonus"}, "credits no segments: control bonus"),
    ],
)
def test_settings_without_a_meaning_are_refused(
    objective: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        update(objective, **changes)


def test_a_length_penalty_that_thinking_would_not_feel_is_refused() -> None:
    with pytest.raises(ValidationError, match="information has alpha 0: raise alpha"):
        update("information", {"alpha": 0.0}, length_penalty=0.1)
    assert update("information", {"alpha": 0.5}, length_penalty=0.1).length_penalty == 0.1


def test_a_length_penalty_comes_before_the_groups_mean() -> None:
    """Of budget 27: rewards 1 - 4/27 and 0 - 3/27; equal answers of equal length gain nothing."""
    by_token = summed_advantages("outcome", length_penalty=1.0)
    assert by_token[0] == pytest.approx([(1 - 4 / 27 + 3 / 27) / 2] * 6, abs=1e-12)
    assert by_token[3:] == [[0.0] * 3, [0.0] * 3]


def test_the_groups_root_mean_square_divides_credit_where_asked() -> None:
    plain = on_tokens("myopic").credit
    divided = on_tokens("myopic", {"credit_scale": "group"}).credit
    rms = np.sqrt(np.mean(np.square([0.25, 0.5, -0.75, 0.0]))) + RECIPE.update.std_epsilon
    assert divided[0] == pytest.approx(plain[0] / rms, abs=1e-12)
