"""What objectives and losses say of themselves."""

from typing import get_args

from stages.contracts.params.base import variants
from stages.contracts.params.recipes.objective import Objective
from stages.contracts.params.recipes.update import LOSSES, Loss
from stages.pure import losses
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
