"""What a user's class says becomes a verdict, or is its fault."""

from typing import Any

import numpy as np
import pytest

from stages.contracts.verdict import Verdict
from stages.verifiers.said import verdict_of


def test_yes_no_and_cannot_be_read_are_verdicts() -> None:
    verdicts = [verdict_of(said) for said in (True, False, None)]
    assert verdicts == [Verdict.CORRECT, Verdict.INCORRECT, Verdict.UNPARSABLE]


@pytest.mark.parametrize(
    "said",
    ["False", "True", "", "correct", 1, 0, 1.0, 0.1, [], [True], (), {}, np.bool_(True), ...],
)
def test_anything_else_is_a_fault_and_no_right_answer(said: Any) -> None:
    with pytest.raises(TypeError, match="must return True, False or None, not "):
        verdict_of(said)
