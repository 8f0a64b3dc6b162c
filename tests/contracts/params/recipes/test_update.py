"""What objectives and losses say of themselves."""

from pathlib import Path
from typing import get_args

from stages.contracts.params.base import variants
from stages.contracts.params.recipes.objective import Objective
from stages.contracts.params.recipes.update import LOSSES, Loss
from stages.pure import losses
from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put
from tests.update.by_hand import update


def test_every_loss_is_a_surrogate_and_an_average() -> None:
    assert [*LOSSES] == [*get_args(Loss)]
    for traits in LOSSES.values():
        assert traits.surrogate in get_args(losses.Objective)
        assert traits.average in get_args(losses.Average)


def test_an_objective_that_imitates_has_no_ratio() -> None:
    assert update("information", loss="gspo").surrogate == "sequence_clipped"
    assert update("offline", loss="gspo").surrogate == "likelihood"
    assert update("offline", loss="gspo").average == "sequences"


def test_who_reads_gains_says_which() -> None:
    for name, objective in variants(Objective).items():
        assert ("gain" in objective.model_fields) == objective.reads_gains, name
    assert update("offline").objective.gain_column == "progress"
    assert update("outcome").objective.gain_column is None


def test_an_update_reads_gains_for_its_objective_or_for_its_reward() -> None:
    assert update("myopic").reads_gains
    assert not update("outcome").reads_gains
    assert update("outcome", reward="success").reads_gains


MISTAKES: list[Mistake] = [
    (
        "above_range",
        [put("recipes.information.update.clip_low", 1.5)],
        ["update.clip_low", "equal to 1", "1.5"],
    ),
    ("loss", [put("recipes.information.update.loss", "ppo")], ["update.loss", "'gspo'", "ppo"]),
    (
        "first_attempt_held_by_nothing",
        [put("recipes.information.update.objective", {"name": "correction_start"})],
        ["recipes.information.update", "correction_start", "needs kl_coefficient"],
    ),
    (
        "correction_without_a_ratio",
        [
            put(
                "recipes.information.update.objective",
                {"name": "offline", "gain": "progress", "keep_frac": 0.5},
            ),
            put("recipes.information.update.importance_correction", {"kind": "mask", "cap": 2.0}),
        ],
        ["recipes.information.update", "offline", "no use for importance_correction"],
    ),
    (
        "control_of_no_credit",
        [
            put("recipes.information.update.objective", {"name": "outcome"}),
            put("recipes.information.update.control", "shuffled"),
        ],
        ["recipes.information.update", "outcome credits no segments", "control shuffled"],
    ),
    (
        "control",
        [put("recipes.information.update.control", "random")],
        ["update.control", "'shuffled_rounds'", "random"],
    ),
    (
        "reward",
        [put("recipes.information.update.reward", "value")],
        ["update.reward", "'success'", "value"],
    ),
    (
        "share_above_one",
        [
            put(
                "recipes.information.update.limits",
                {"max_abs_advantage": 30.0, "largest_group_share": 1.5},
            )
        ],
        ["update.limits.largest_group_share", "equal to 1", "1.5"],
    ),
    (
        "cap_that_holds_nothing",
        [put("recipes.information.update.importance_correction", {"kind": "mask", "cap": 1.0})],
        ["update.importance_correction.cap", "greater than 1"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)
