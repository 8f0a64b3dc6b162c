"""Supervised fine-tuning: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    ("epochs_below_none", [put("inits.r0.sft.epochs", -1)], ["sft.epochs", "equal to 0"]),
    (
        "negative_weight",
        [put("inits.r0.sft.loss_weights.verdict", -1.0)],
        ["sft.loss_weights.verdict", "equal to 0"],
    ),
    ("long_warm_up", [put("inits.r0.sft.warmup_frac", 1.5)], ["sft.warmup_frac", "equal to 1"]),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)
