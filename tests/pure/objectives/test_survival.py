"""How likely a budget is to outlast some tokens: by hand, and against budgets one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.objectives.survival import (
    geometric_survival,
    stated_survival,
    survival,
    uniform_survival,
)

TOKENS = np.array([0, 1, 3, 4, 5])
PRIORS: list[dict[str, Any]] = [
    {"kind": "uniform"},
    {"kind": "geometric", "token_discount": 0.9},
    {"kind": "stated", "weights": {0: 1.0, 3: 2.0, 7: 1.0}},
]


def chances(prior: dict[str, Any], budget_tokens: int) -> np.ndarray:
    """Of the budgets 0, 1, … one by one."""
    budgets = np.arange(4000)
    match prior:
        case {"kind": "uniform"}:
            return (budgets <= budget_tokens) / (budget_tokens + 1)
        case {"kind": "geometric", "token_discount": token_discount}:
            return (1 - token_discount) * token_discount**budgets
        case {"weights": weights}:
            shares = np.array([weights.get(budget, 0.0) for budget in budgets.tolist()])
            return shares / shares.sum()


def test_survival_by_hand() -> None:
    assert uniform_survival(TOKENS, 4).tolist() == [1.0, 0.8, 0.4, 0.2, 0.0]
    assert geometric_survival(TOKENS, 0.5).tolist() == [1, 0.5, 0.125, 0.0625, 0.03125]
    assert geometric_survival(TOKENS, 0.0).tolist() == [1, 0, 0, 0, 0]
    assert stated_survival(TOKENS, {1: 1.0, 4: 3.0}).tolist() == [1, 1, 0.75, 0.75, 0]
    assert stated_survival(TOKENS[:0], {1: 1.0}).shape == (0,)


def test_a_prior_is_chosen_by_its_kind_and_no_other_is_made_up() -> None:
    assert (survival(TOKENS, 4, PRIORS[0]) == uniform_survival(TOKENS, 4)).all()
    assert (survival(TOKENS, 4, PRIORS[1]) == geometric_survival(TOKENS, 0.9)).all()
    assert (survival(TOKENS, 4, PRIORS[2]) == stated_survival(TOKENS, PRIORS[2]["weights"])).all()
    with pytest.raises(AssertionError):
        survival(TOKENS, 4, {"kind": "linear"})


@pytest.mark.parametrize("prior", PRIORS)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(12, 30))
def test_the_success_expected_is_the_sum_of_gains_that_survive(
    prior: dict[str, Any], lengths: list[int], budget_tokens: int
) -> None:
    """J by budget, each in turn, against gains weighed by survival."""
    ends = np.minimum(np.cumsum(lengths), budget_tokens)
    success = np.random.default_rng(sum(lengths)).random(len(ends) + 1)
    chance = chances(prior, budget_tokens)
    reached = success[np.searchsorted(ends, np.arange(len(chance)), side="right")]
    weighed = survival(ends, budget_tokens, prior) * np.diff(success)
    assert success[0] + weighed.sum() == pytest.approx((chance * reached).sum(), abs=1e-12)
