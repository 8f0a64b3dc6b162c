"""Which budget and which difficulty to train on next, from a stored exam."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

DOUBLING_GAIN = 1.2
"""e3's kappa: a budget is long enough for a policy whose success gains no more than this factor
from twice of it.
"""


def coupled_budget(
    success: Float[np.ndarray, " budget"], budgets: Int[np.ndarray, " budget"], doubling_gain: float
) -> int | None:
    """The budget to train one difficulty at, tokens: the least B with J(2B) ≤ kappa · J(B).

    e3's coupled curriculum (Setlur et al., arXiv 2506.09026): a budget at which twice the tokens
    would still help much cuts off search that works; a longer one wastes samples. B is a budget of
    the grid above 0, so the paper's B_0, the least allowed, is the grid's least; J(2B) is
    interpolated linearly between budgets. Where J(2B) stays above kappa · J(B) as far as the grid
    can tell, the longest budget.

    A budget at which nothing succeeds never qualifies: 0 ≤ kappa · 0 would call the shortest one
    enough. None where nothing succeeds at any budget, and where the grid has no budget above 0 with
    its double within its range.
    """
    tried = [budget for budget in budgets.tolist() if budget > 0 and 2 * budget <= budgets[-1]]
    if not tried or not success.max() > 0:
        return None
    once, twice = (
        np.interp([factor * budget for budget in tried], budgets, success) for factor in (1, 2)
    )
    enough = (once > 0) & (twice <= doubling_gain * once)
    return tried[int(enough.argmax())] if enough.any() else int(budgets[-1])


def next_difficulty(best_success: Mapping[int, float], mastered_success: float) -> int | None:
    """The difficulty to train on next: the easiest that is not mastered yet but succeeds at times.

    `best_success` is each difficulty's highest success over the budgets. e3 goes from easy to hard,
    a fixed number of steps on each; here a difficulty is left once its success reaches
    `mastered_success`. Where all beyond the mastered ones never succeed, so that no rollout would
    be rewarded, the hardest that does: more of it is what the next one builds on. None where
    nothing succeeds.
    """
    succeeding = sorted(difficulty for difficulty, success in best_success.items() if success > 0)
    open_ones = [
        difficulty for difficulty in succeeding if best_success[difficulty] < mastered_success
    ]
    return next(iter(open_ones or succeeding[-1:]), None)
