"""Our side of the comparison of losses; TRL's needs TRL (`make parity`)."""

import numpy as np
import torch

from benchmarks.trl.parity import cases
from benchmarks.trl.parity_sides import (
    Measured,
    by_us,
    difference,
    policy,
    right_padded,
    rollouts,
)
from fixtures.checkouts import ROOT
from stages.contracts.params.recipes.update import Update
from stages.contracts.params.whole import load

CASES = list(cases())


def test_every_loss_of_ours_is_compared() -> None:
    compared = {case.ours["loss"] for case in CASES}
    assert compared == {"grpo", "dr_grpo", "dapo", "gspo", "cispo"}
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_rollouts_lie_on_both_sides_of_the_bounds() -> None:
    examples = rollouts(is_per_token=False)
    assert any(not example.is_target.all() for example in examples)
    assert all(np.ptp(example.advantages) == 0 for example in examples)
    assert any(np.ptp(example.advantages) > 0 for example in rollouts(is_per_token=True))


def test_a_loss_has_a_gradient_over_all_parameters() -> None:
    base = load(ROOT / "params.yaml").recipes["information"].update.model_dump()
    changes = {"objective": {"name": "outcome"}, **CASES[0].ours, "micro_batch_tokens": 26}
    measured = by_us(Update.model_validate({**base, **changes}), rollouts(is_per_token=False))
    assert measured.gradient.dtype == np.float64
    assert len(measured.gradient) == sum(p.numel() for p in policy(0).parameters())
    assert np.abs(measured.gradient).max() > 0


def test_a_difference_is_the_largest_of_all_elements() -> None:
    one, other = (Measured(0.0, np.array(values)) for values in ([1.0, 2.0], [1.5, 4.0]))
    assert difference(one, other) == 2.0


def test_rows_are_padded_behind() -> None:
    assert right_padded([[1], [2, 3]]).tolist() == [[1, 0], [2, 3]]
    assert right_padded([[1]]).dtype == torch.float64
