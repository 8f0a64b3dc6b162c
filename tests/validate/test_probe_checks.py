"""Gains that partial credit makes, and those that it does not excuse.

The rest is in tests/validate/test_main.py.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stages.contracts.params.recipes.probe import ForcedAnswer
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.segments import SEGMENTS
from stages.infogain import gains_of
from stages.validate.probe_checks import gains_frame
from tests.test_infogain import sampled

PROBE = ForcedAnswer(estimator="forced_answer", num_probes=4, answer_tokens=1, temperature=1.0)
PROBES = pa.Table.from_pylist([sampled(0), sampled(1)], PROBES.schema)
SEGMENT = {"rollout_id": "r", "segment_index": 0, "kind": "other", "start_token": 0, "end_token": 1}
SEGMENTS = pa.Table.from_pylist([SEGMENT], SEGMENTS.schema)
REWARDS = {0: np.array([0.5, 0.0, 0.0, 0.0]), 1: np.array([0.25, 0.25, 1.0, 0.75])}


def checked(partial_credit: bool, **changed: Any) -> pd.Series:
    """The check frame's row of the gains that `infogain` makes of `REWARDS`, some changed."""
    [row] = gains_of(PROBES, REWARDS, PROBE).to_pylist()
    gains = pa.Table.from_pylist([row | changed], GAINS.schema)
    with np.errstate(all="ignore"):
        return gains_frame(gains, SEGMENTS, PROBES, PROBE, partial_credit).iloc[0]


def broken(row: pd.Series) -> set[str]:
    return {name for name in row.index if name.endswith("_residual") and not row[name] <= 1e-5}


def test_means_of_parts_pass_with_partial_credit_alone() -> None:
    assert not broken(checked(partial_credit=True))
    assert broken(checked(partial_credit=False)) == {
        "success_before_residual",
        "success_after_residual",
        "stderr_residual",
    }


@pytest.mark.parametrize("success", [-0.1, 1.1, None])
def test_a_mean_lies_between_no_reward_and_the_whole(success: float | None) -> None:
    assert "success_after_residual" in broken(checked(True, success_after=success))


def test_an_error_wider_than_that_of_right_and_wrong_answers_is_refused() -> None:
    assert broken(checked(True, stderr=0.9)) == {"stderr_residual"}
    assert broken(checked(True, stderr=None)) == {"stderr_residual"}
