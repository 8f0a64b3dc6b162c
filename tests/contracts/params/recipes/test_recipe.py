"""A recipe: what of it does not go together."""

from pathlib import Path

from tests.contracts.params.mistakes import (
    SAMPLED,
    Edit,
    Mistake,
    assert_refused,
    each_mistake,
    put,
)

MISTAKES: list[Mistake] = [
    (
        "gain_that_is_not_measured",
        [
            put("recipes.information.update.objective.gain", "info_gain_nats"),
            put("recipes.information.probe", {"estimator": "forced_answer", **SAMPLED}),
        ],
        ["recipes.information", "info_gain_nats", "forced_answer", "'answer_likelihood'"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)
