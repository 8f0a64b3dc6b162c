"""An optimizer: what is refused."""

from pathlib import Path

from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

MISTAKES: list[Mistake] = [
    (
        "infinite",
        [put("inits.r0.sft.optimizer.learning_rate", float("inf"))],
        ["optimizer.learning_rate", "finite"],
    ),
    (
        "one_beta",
        [put("inits.r0.sft.optimizer.betas", [0.9])],
        ["optimizer.betas.1", "Field required"],
    ),
    (
        "beta_above_one",
        [put("inits.r0.sft.optimizer.betas", [0.9, 1.1])],
        ["optimizer.betas.1", "equal to 1"],
    ),
    (
        "weight_growth",
        [put("inits.r0.sft.optimizer.weight_decay", -0.1)],
        ["optimizer.weight_decay", "equal to 0"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)
