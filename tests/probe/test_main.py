"""Boundaries that are probed, and the function of each estimator."""

import pyarrow as pa

from stages.contracts.params.base import variants
from stages.contracts.params.recipes.probe import Probe
from stages.probe.__main__ import FUNCTIONS, find_boundaries


def test_every_estimator_has_a_function() -> None:
    assert {*FUNCTIONS} == {*variants(Probe).values()}


def test_boundaries_stand_before_each_thinking_segment_and_behind_the_last() -> None:
    segments = pa.table(
        {
            "rollout_id": ["a", "a", "a", "b"],
            "segment_index": [0, 1, 2, 0],
            "kind": ["attempt", "other", "answer", "answer"],
            "end_token": [5, 9, 12, 3],
        }
    )
    assert find_boundaries(segments) == {"a": [0, 5, 9], "b": [0]}
