"""Estimates, credit and objectives against searches solved by hand: does training keep exploring?

What holds of the chain of attempts, at every policy tried:
 1. the gradients of `outcome`, `information` and `anytime` are those of success and of the area
    under the J curve
 2. these, the greedy rules, `process` and `offline` raise the chance of going on
 3. a length penalty lowers it exactly where it is dearer than what an attempt gains
 4. credit less the group's mean neither raises nor lowers it: the mean is a charge on going on, not
    a baseline
"""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from stages.pure.credit import (
    group_normalized,
    length_penalized,
    to_come,
)
from stages.pure.information import information_gain, progress
from stages.pure.objectives.anytime import anytime as anytime_of
from stages.pure.objectives.arrays import Advantage
from stages.pure.objectives.imitation import imitation
from stages.pure.objectives.information import information as information_of
from stages.pure.objectives.myopic import myopic as myopic_of
from stages.pure.objectives.outcome import outcome as outcome_alone
from stages.pure.objectives.process import myopic_process as myopic_process_of
from stages.pure.objectives.process import process as process_of
from stages.pure.objectives.survival import geometric_survival
from tests.pure.closed_forms import (
    ATTEMPT_TOKENS,
    GRID,
    SEARCHES,
    Group,
    Search,
    area_by_tokens,
    hidden_arm_bits,
    hidden_arm_success,
)
from tests.pure.objectives.by_hand import AS_IT_IS, CENTRED

TOKEN_DISCOUNT = 0.9
GEOMETRIC = {"kind": "geometric", "token_discount": TOKEN_DISCOUNT}
STEP = 1e-5

each_search = pytest.mark.parametrize("search", SEARCHES, ids=str)
each_policy = pytest.mark.parametrize("go_on", GRID, ids=str)
ARMS = pytest.mark.parametrize(
    ("num_arms", "num_segments"), [(2, 1), (5, 3), (8, 7), (40, 1), (6, 0)]
)


@ARMS
def test_hidden_arm_progress_and_information(num_arms: int, num_segments: int) -> None:
    success = hidden_arm_success(num_arms, num_segments)
    gains, bits = progress(success), information_gain(np.log(success)) / np.log(2)
    left = num_arms - np.arange(1, num_segments + 1)
    assert gains == pytest.approx(1 / (left * (left + 1)), abs=1e-12)  # 1/(d − j) − 1/(d − j + 1)
    assert bits == pytest.approx(hidden_arm_bits(num_arms, num_segments), abs=1e-12)
    assert gains.sum() == pytest.approx(success[-1] - 1 / num_arms, abs=1e-12)
    assert bits.sum() == pytest.approx(np.log2(num_arms / (num_arms - num_segments)), abs=1e-12)


@ARMS
def test_hidden_arm_credit_to_go_telescopes(num_arms: int, num_segments: int) -> None:
    success = hidden_arm_success(num_arms, num_segments)
    credit = to_come(progress(success), np.zeros(num_segments, dtype=int), 1.0)
    assert credit == pytest.approx(success[-1] - success[:-1], abs=1e-12)


@ARMS
@pytest.mark.parametrize("discount", [0.5, 0.99, 1 - 1e-3])
def test_hidden_arm_area_is_the_sum_of_discounted_gains(
    num_arms: int, num_segments: int, discount: float
) -> None:
    success = hidden_arm_success(num_arms, num_segments)
    end_tokens = 7 * np.arange(1, num_segments + 1)
    gains = geometric_survival(end_tokens, discount) * progress(success)
    area = success[0] + gains.sum()
    assert area == pytest.approx(area_by_tokens(success, end_tokens, discount), abs=1e-6)


def outcome_of(group: Group, penalty: float = 0.0) -> np.ndarray:
    budget_tokens = ATTEMPT_TOKENS * group.search.budget_attempts
    rewards = length_penalized(group.rewards, group.thinking_tokens, budget_tokens, penalty)
    return group_normalized(rewards, group.groups, normalize_by_std=False, std_epsilon=1e-4)


def information(group: Group, credit_discount: float, **scale: Any) -> Advantage:
    arrays = group.arrays(np.zeros(len(group.streams)))
    return information_of(arrays, 0.0, credit_discount, **scale)


def anytime(group: Group, **scale: Any) -> Advantage:
    arrays = group.arrays(np.zeros(len(group.streams)))
    return anytime_of(arrays, 0.0, GEOMETRIC, **scale)


def myopic(group: Group, **scale: Any) -> Advantage:
    return myopic_of(group.arrays(np.zeros(len(group.streams))), 0.0, **scale)


def myopic_process(group: Group, **scale: Any) -> Advantage:
    return myopic_process_of(group.arrays(np.zeros(len(group.streams))), 0.0, **scale)


def process(group: Group, **scale: Any) -> Advantage:
    return process_of(group.arrays(np.zeros(len(group.streams))), 0.0, 1.0, **scale)


def offline(group: Group) -> Advantage:
    return imitation(group.arrays(outcome_of(group)), keep_frac=1.0)


def outcome(group: Group, penalty: float = 0.0) -> Advantage:
    return outcome_alone(group.arrays(outcome_of(group, penalty)))


def slope(of: Callable[[float], float], go_on: Fraction) -> float:
    """Derivative by the logit of going on, by central differences."""
    logit = np.log(float(go_on) / (1 - float(go_on)))
    above, below = (of(1 / (1 + np.exp(-(logit + step)))) for step in (STEP, -STEP))
    return (above - below) / (2 * STEP)


@each_search
@each_policy
def test_a_group_in_proportion_has_the_searchs_own_success(search: Search, go_on: Fraction) -> None:
    assert sum(stream.probability for stream in search.streams(go_on)) == 1
    assert search.group(go_on).rewards.mean() == pytest.approx(
        search.success(float(go_on)), abs=1e-12
    )


def test_success_of_k_attempts_is_one_less_p_to_the_k() -> None:
    search = Search(Fraction(1, 4), Fraction(0), 5)
    assert search.success(1.0) == pytest.approx(1 - 0.75**5, abs=1e-12)
    assert search.group(Fraction(1)).rewards.mean() == pytest.approx(1 - 0.75**5, abs=1e-12)


@each_search
@each_policy
def test_gradients_are_those_of_what_is_to_be_raised(search: Search, go_on: Fraction) -> None:
    group = search.group(go_on)
    success = slope(search.success, go_on)
    assert group.gradient(outcome(group)) == pytest.approx(success, abs=1e-8)
    assert group.gradient(information(group, 1.0, **AS_IT_IS)) == pytest.approx(success, abs=1e-8)
    area = slope(partial(search.area, token_discount=TOKEN_DISCOUNT), go_on)
    assert group.gradient(anytime(group, **AS_IT_IS)) == pytest.approx(area, abs=1e-8)


EXPLORE: dict[str, Callable[[Group], Advantage]] = {
    "outcome": outcome,
    "myopic": partial(myopic, **AS_IT_IS),
    "information_discounted": partial(information, credit_discount=0.5, **AS_IT_IS),
    "information_to_go": partial(information, credit_discount=1.0, **AS_IT_IS),
    "anytime": partial(anytime, **AS_IT_IS),
    "process": partial(process, **AS_IT_IS),
    "myopic_process": partial(myopic_process, **AS_IT_IS),
    "offline": offline,
}


@each_search
@each_policy
@pytest.mark.parametrize("objective", EXPLORE)
def test_every_objective_raises_the_chance_of_going_on(
    objective: str, search: Search, go_on: Fraction
) -> None:
    group = search.group(go_on)
    assert group.gradient(EXPLORE[objective](group)) > 1e-3


@each_search
@each_policy
def test_a_length_penalty_stops_exploring_where_an_attempt_costs_more_than_it_gains(
    search: Search, go_on: Fraction
) -> None:
    group = search.group(go_on)
    worth = float(
        search.hit * (1 - search.guess) * search.budget_attempts
    )  # q (1 − g) an attempt, over the budget
    assert group.gradient(outcome(group, 0.9 * worth)) > 1e-4
    assert group.gradient(outcome(group, worth)) == pytest.approx(0, abs=1e-12)
    assert group.gradient(outcome(group, 1.1 * worth)) < -1e-4


@each_search
@each_policy
@pytest.mark.parametrize("discount", [0.5, 1.0])
def test_the_groups_mean_charges_an_attempt_all_it_gains(
    search: Search, go_on: Fraction, discount: float
) -> None:
    group = search.group(go_on)
    assert group.gradient(information(group, discount, **CENTRED)) == pytest.approx(0, abs=1e-12)
    for graded in (myopic, process, myopic_process):
        assert group.gradient(graded(group, **CENTRED)) == pytest.approx(0, abs=1e-12)


@each_policy
def test_noise_clipped_at_zero_pays_for_attempts_that_never_hit(go_on: Fraction) -> None:
    """Success is 1/4 whatever is done, estimated at each boundary with an error of -1/4 or +1/4."""
    group = Search(Fraction(0), Fraction(1, 4), 3).group(go_on)
    segments = group.segments()
    gradients = []
    for error in (-0.25, 0.25):  # of the boundary behind each attempt; the error cancels over both
        noise = np.where(segments.is_attempt, error, np.nan)
        for noisy in (noise, np.maximum(0, noise)):
            arrays = group.arrays(np.zeros(len(group.streams)))
            arrays = arrays._replace(segments=segments._replace(gain=noisy))
            advantage = myopic_of(arrays, 0.0, **AS_IT_IS)
            gradients.append(group.gradient(advantage))
    plain, clipped = gradients[0] + gradients[2], gradients[1] + gradients[3]
    assert plain == pytest.approx(0, abs=1e-12)
    assert clipped > 1e-3


def trained(search: Search, objective: Callable[[Group], Advantage]) -> float:
    """The chance of going on after 25 steps of plain ascent from 1/2; in 16ths groups are exact."""
    logit = 0.0
    for _ in range(25):
        go_on = Fraction(min(15, max(1, round(16 / (1 + np.exp(-logit))))), 16)
        group = search.group(go_on)
        logit += 6 * group.gradient(objective(group))
    return float(1 / (1 + np.exp(-logit)))


SMALL = Search(Fraction(1, 2), Fraction(0), 2)


@pytest.mark.parametrize("objective", ["outcome", "myopic", "anytime"])
def test_trained_on_two_attempts_it_explores_on_a_budget_of_twenty(objective: str) -> None:
    go_on = trained(SMALL, EXPLORE[objective])
    longer = Search(SMALL.hit, SMALL.guess, 20)
    assert go_on > 0.9
    assert longer.success(go_on) > SMALL.success(go_on) + 0.15
    assert longer.success(go_on) > longer.success(0.5) + 0.2


def test_trained_under_a_dear_length_penalty_it_learns_to_answer_at_once() -> None:
    assert trained(SMALL, partial(outcome, penalty=1.5)) < 0.2
