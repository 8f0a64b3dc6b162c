"""Rules on both sides of their thresholds; a fall by hand, and what noise alone brings."""

import math
from string import Formatter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pure.course.diagnosis import RULES, Fall, Rule, diagnose, fall, is_found, ratio

NAMES = {
    "round": "i3",
    "policy": "i2",
    "best_round": "i2",
    "recipe": "information",
    "init": "r0",
    "against": "r0",
}
USUAL = {
    "success": 0.5,
    "one_outcome_frac": 0.4,
    "unparsable_frac": 0.01,
    "unended_frac": 0.0,
    "repeat_frac": 0.1,
    "trained_frac": 0.9,
    "largest_group_share": 0.01,
    "entropy_ratio": 0.9,
    "fall_p": 0.6,
    "best_success": 0.51,
    "gain": 0.02,
    "gain_low": -0.01,
    "gain_high": 0.05,
}
SUCCESSES = st.lists(st.floats(0, 1), min_size=2, max_size=8)


def beyond(rule: Rule) -> float:
    """A value that the rule just finds."""
    return rule.threshold + (1e-6 if rule.side == "at least" else -1e-6)


def test_what_is_usual_is_no_finding() -> None:
    assert diagnose(USUAL, NAMES) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_finds_on_one_side_of_its_threshold_and_not_on_the_other(rule: Rule) -> None:
    [found] = diagnose({**USUAL, rule.number: beyond(rule)}, NAMES)
    assert found.rule == rule.name
    assert is_found(rule, {rule.number: rule.threshold}) == (rule.side != "below")
    before = 2 * rule.threshold - beyond(rule)
    assert diagnose({**USUAL, rule.number: before}, NAMES) == []
    assert diagnose({**USUAL, rule.number: None}, NAMES) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_says_what_it_measured_and_names_a_key(rule: Rule) -> None:
    fields = {name for _, name, _, _ in Formatter().parse(rule.message) if name}
    assert fields <= {*NAMES, *USUAL}
    assert fields & {*USUAL}
    [found] = diagnose({**USUAL, rule.number: beyond(rule)}, NAMES)
    assert found.key.split(".")[:2] in (["recipes", "information"], ["inits", "r0"])
    assert "{" not in found.message + found.key


def test_the_words_of_the_worst_cases() -> None:
    numbers = {**USUAL, "success": 0.0, "one_outcome_frac": 0.98, "unparsable_frac": 0.6}
    messages = [finding.message for finding in diagnose(numbers, NAMES)]
    assert messages == [
        "i2 solves 0% of the rollouts of i3",
        "98% of groups of i3 have one outcome: no reward tells their rollouts apart",
        "60% of the answers of i3 cannot be read",
    ]


def test_ratio_of_the_last_known_to_the_first() -> None:
    assert ratio([0.4, None, 0.3, 0.1, None]) == 0.25
    assert ratio([0.4, None]) is None
    assert ratio([0.0, 0.1]) is None
    assert ratio([]) is None


def test_a_fall_by_hand() -> None:
    """Z = (.6 - .5) / hypot(.03, .04) = 2, whose upper tail is .02275; two rounds were before."""
    fallen = fall([0.4, 0.6, 0.5], [0.01, 0.03, 0.04])
    assert fallen is not None
    assert fallen.best == 1
    assert fallen.p == pytest.approx(2 * 0.0227501, rel=1e-5)


def test_a_fall_without_noise_or_without_rounds_before() -> None:
    assert fall([1.0, 0.0], [0.0, 0.0]) == Fall(0, 0.0)
    assert fall([0.0, 0.0], [0.0, 0.0]) == Fall(0, 1.0)
    assert fall([0.5], [0.1]) is None
    assert fall([], []) is None


@given(SUCCESSES, st.floats(0.01, 0.2))
def test_a_chain_at_its_best_has_not_fallen(success: list[float], stderr: float) -> None:
    rising = sorted(success)
    fallen = fall(rising, [stderr] * len(rising))
    assert fallen is not None
    assert fallen.p >= 0.5


@given(SUCCESSES, st.floats(0.01, 0.2), st.floats(0, 0.5))
def test_the_lower_the_last_the_surer_the_fall(
    success: list[float], stderr: float, less: float
) -> None:
    errors = [stderr] * len(success)
    high, low = fall(success, errors), fall([*success[:-1], success[-1] - less], errors)
    assert high is not None
    assert low is not None
    assert low.best == high.best
    assert 0 <= low.p <= high.p <= 1


def test_noise_alone_is_rarely_taken_for_a_fall() -> None:
    """Of 4,000 chains of 12 rounds that stay as they are, at most 5% and their own noise."""
    rng = np.random.default_rng(0)
    draws = rng.normal(0.5, 0.02, (4000, 12))
    falls = [fall(chain.tolist(), [0.02] * 12) for chain in draws]
    false = sum(one is not None and one.p <= 0.05 for one in falls)
    assert false / 4000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 4000)
