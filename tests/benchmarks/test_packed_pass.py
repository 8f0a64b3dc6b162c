"""Both ways of the benchmark measure the same thing; its long trace has a process to itself."""

import pytest

from benchmarks.packed_pass import (
    NUM_ANSWERS,
    Blocks,
    Peak,
    Timing,
    compare,
    decoder,
    in_fresh_process,
    table,
    traces,
)


@pytest.mark.parametrize("num_boundaries", [2, 5])
def test_both_ways_give_the_same_log_probabilities(num_boundaries: int) -> None:
    rows = traces(trace_tokens=400, num_boundaries=num_boundaries, segment_tokens=4)
    assert sum(trace.num_tokens for trace in rows) <= 400
    timing = compare(decoder(), rows, micro_batch_tokens=200, repeats=1)
    assert timing.num_boundaries == num_boundaries
    assert timing.max_difference_nats < 1e-4
    assert timing.packed_seconds > 0
    assert timing.separate_seconds > 0
    assert len(rows[0].answers) == NUM_ANSWERS


def test_a_long_trace_is_probed_without_its_square() -> None:
    peak = in_fresh_process(prefix_tokens=4000, num_boundaries=50, micro_batch_tokens=1024)
    assert peak.num_boundaries == 50
    assert peak.square_mib > 20
    assert 0 < peak.rise_mib < 120  # with a mask over the square it was 175


def test_the_table_has_a_line_a_count() -> None:
    timings = [Timing(2, 1.0, 2.5, 1e-6), Timing(64, 1.0, 9.0, 1e-6)]
    peak = Peak(16_000, 200, 3.0, 200.0, 900.0)
    text = table(timings, peak, [Blocks(4, 2_296, 1_723)])
    assert "2.50" in text.splitlines()[1]
    assert "16,000 tokens, 200 boundaries: 200 MiB" in text
    assert "chunks: 4; blocks with an entry: 1,723 of 2,296" in text
