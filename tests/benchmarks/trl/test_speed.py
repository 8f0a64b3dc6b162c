"""What the comparison with TRL makes of both sides' figures."""

import pytest

from benchmarks.measuring import Spent
from benchmarks.trl.speed import OURS, TRL, Losses, Round, as_json, compare, ratios, table

ROUNDS = {
    TRL: [
        Round(100, Spent(2.0, 3.0), Spent(2.0, 3.0)),
        Round(100, Spent(1.0, 2.0), Spent(3.0, 4.0)),
    ],
    OURS: [
        Round(90, Spent(0.5, 0.5), Spent(1.0, 1.0)),
        Round(90, Spent(1.0, 1.0), Spent(2.0, 2.0)),
    ],
}


def test_ratios_are_of_tokens_a_second_turn_by_turn() -> None:
    assert ratios(ROUNDS, "rollout", "seconds") == pytest.approx([3.6, 0.9])
    assert ratios(ROUNDS, "both", "seconds") == pytest.approx([2.4, 1.2])
    assert ratios(ROUNDS, "both", "processor_seconds") == pytest.approx([3.6, 1.8])


def test_the_table_says_what_does_not_hold() -> None:
    text = table(ROUNDS, {"trl": 9.0}, Losses(2, 1.0, 1e-9, 1e-9))
    assert "both: ratio by the clock 1.80 [1.20 … 2.40], of processors 2.70 [1.80 … 3.60]" in text
    assert "2 times TRL's tokens/s: DOES NOT HOLD; losses within 0.0001: holds" in text


def test_losses_are_compared_step_by_step() -> None:
    ours = {"loss": [0.5, -2.0], "grad_norm": [1.0, 3.0]}
    theirs = {"loss": [0.5, -2.25], "grad_norm": [1.0, 2.0]}
    assert compare(ours, theirs) == Losses(2, 2.0, 0.25, 0.5)
    with pytest.raises(ValueError, match="zip"):
        compare(ours, {"loss": [0.5], "grad_norm": [1.0]})


def test_figures_have_names() -> None:
    [first, _] = as_json(ROUNDS[OURS])
    assert first == {
        "num_tokens": 90,
        "rollout": {"seconds": 0.5, "processor_seconds": 0.5},
        "update": {"seconds": 1.0, "processor_seconds": 1.0},
    }
