"""Which boundaries are drawn to be probed, and in which order they are asked about."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.contracts.params.recipes.probe import ForcedAnswer
from stages.probe.inputs import ProbedRollout
from stages.probe.sampled import draw_boundaries, shards_of


@given(st.integers(1, 30), st.integers(0, 2**62), st.floats(0, 1))
def test_the_first_and_the_last_boundary_are_always_drawn(
    num_boundaries: int, seed: int, inner_frac: float
) -> None:
    drawn = draw_boundaries(num_boundaries, seed, inner_frac)
    assert drawn == sorted(set(drawn))
    assert {0, num_boundaries - 1} <= set(drawn) <= set(range(num_boundaries))
    assert draw_boundaries(num_boundaries, seed, 1.0) == draw_boundaries(num_boundaries, seed, None)
    assert draw_boundaries(num_boundaries, seed, 0.0) == sorted({0, num_boundaries - 1})


@given(st.integers(0, 2**62), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_drew(seed: int, one: float, other: float) -> None:
    few, many = (draw_boundaries(20, seed, frac) for frac in sorted((one, other)))
    assert set(few) <= set(many)


def test_the_share_drawn_is_the_recipes() -> None:
    drawn = sum(len(draw_boundaries(12, seed, 0.3)) - 2 for seed in range(2000))
    assert drawn / (2000 * 10) == pytest.approx(0.3, abs=0.01)


def test_shards_hold_whole_rollouts_in_order() -> None:
    rollouts = [
        ProbedRollout(f"r{n}", "p", n, 1, [1] * 5, ends, ends, has_answer=True)
        for n, ends in enumerate([[0], [0, 2], [0, 2, 4]])
    ]
    sampling = {"num_probes": 2, "answer_tokens": 3, "temperature": 1.0}
    settings = ForcedAnswer(estimator="forced_answer", shard_rollouts=2, **sampling)
    shards = [
        [(r.rollout_id, index) for r, index in shard] for shard in shards_of(rollouts, settings)
    ]
    assert shards == [[("r0", 0), ("r1", 0), ("r1", 1)], [("r2", 0), ("r2", 1), ("r2", 2)]]
    [whole] = shards_of(rollouts, ForcedAnswer(estimator="forced_answer", **sampling))
    assert whole == [place for shard in shards_of(rollouts, settings) for place in shard]
