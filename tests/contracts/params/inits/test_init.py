"""An initial policy: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    (
        "untrained_random_weights",
        [put("inits.r0.sft.epochs", 0)],
        ["inits.r0", "random weights", "train it"],
    ),
    (
        "adapter_of_random_weights",
        [put("inits.r0.sft.lora", {"rank": 8, "alpha": 16, "target_modules": ["q_proj"]})],
        ["inits.r0", "sft.lora", "needs a checkpoint"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)
