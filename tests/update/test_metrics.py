"""What an update was learnt from, by hand; that its token counts add up is in test_examples.py."""

import pytest

from stages.update.examples import assemble
from stages.update.metrics import composition, extremes_of
from tests.update.by_hand import known, on_tokens, update


def test_what_was_learnt_from_by_hand() -> None:
    """The cue token of the second rollout is not trained."""
    advantages = on_tokens("myopic")
    _, rows = assemble(known(), advantages, update("myopic"))
    extremes = extremes_of(known(), advantages, rows)
    composed = composition(known(), advantages, rows, extremes)
    shares = [*[1 / 3] * 2, *[0.5] * 2, *[0.0] * 2, *[0.6] * 3, 0.0, *[1.0, 1.0, 0.0] * 2]
    assert composed["mean_credit_frac"] == pytest.approx(sum(shares) / len(shares), abs=1e-12)
    assert composed["verdicts"] == {"false_positive_frac": 0.5, "false_negative_frac": 0.5}


def test_the_extremes_by_hand() -> None:
    """|A| of the first problem's tokens: 1.5 + 2 + 1, and 3.75 + .5; of the second's 1 and .5."""
    advantages = on_tokens("myopic")
    _, rows = assemble(known(), advantages, update("myopic"))
    extremes = extremes_of(known(), advantages, rows)
    assert (extremes.max_abs_advantage, extremes.problem_of_max) == (1.25, "a")
    assert extremes.largest_group_share == pytest.approx(8.75 / 10.25, abs=1e-12)
    assert extremes.problem_of_largest == "a"
    composed = composition(known(), advantages, rows, extremes)
    assert composed["max_abs_advantage"] == 1.25
