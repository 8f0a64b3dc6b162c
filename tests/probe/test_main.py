"""Boundaries that are probed, and the function of each estimator."""

import pyarrow as pa

from fixtures.rows import row
from stages.contracts.params.base import variants
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.probe.__main__ import FUNCTIONS, find_boundaries, probed_rollout


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


def test_a_rollout_is_cut_to_its_thinking_and_tells_what_was_sampled_of_it() -> None:
    """Tokens 6 and 7 are an environment's, 9 the cue."""
    written = row(
        ROLLOUTS,
        prompt_tokens=[1, 2],
        completion_tokens=[4, 5, 6, 7, 8, 9, 10],
        num_thinking_tokens=5,
        token_origin=[0, 0, 2, 2, 0, 1, 0],
        sampler_logprobs=[0.0] * 7,
    )
    rollout = probed_rollout(written, [0, 2, 4, 5])
    assert rollout.tokens == [1, 2, 4, 5, 6, 7, 8]
    assert rollout.positions == [2, 4, 6, 7]
    assert rollout.sampled_tokens == [0, 2, 2, 3]
    assert rollout.has_answer
    assert not probed_rollout(written | {"num_thinking_tokens": 7}, [0, 7]).has_answer
