"""Turns, clocks, ratios and tables of figures, each by hand."""

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.measuring import (
    Spent,
    Turn,
    clocks,
    median_processor_seconds,
    medians,
    ratios,
    results,
    run_program,
    since,
    table,
    take_turns,
    verdict,
    with_range,
)
from fixtures.checkouts import ROOT, succeed


def test_ways_take_turns_and_the_first_turn_is_dropped() -> None:
    order = []

    def way(name: str) -> int:
        order.append(name)
        return len(order)

    turns = take_turns({"one": lambda: way("one"), "other": lambda: way("other")}, repeats=2)
    assert order == ["one", "other"] * 3
    assert results(turns["one"]) == [3, 5]
    assert results(turns["other"]) == [4, 6]
    assert all(turn.spent.seconds >= 0 for turn in turns["one"])


def test_waiting_takes_no_processor_and_work_does() -> None:
    begin = clocks()
    time.sleep(0.2)
    waited = since(begin)
    assert waited.seconds >= 0.2
    assert waited.processor_seconds < 0.1
    begin = clocks()
    while since(begin).processor_seconds < 0.1:
        pass
    assert since(begin).seconds >= 0.1 - 1e-3


def test_a_program_is_measured_with_what_it_started(tmp_path: Path) -> None:
    """It waits for a child that works: the child's processor seconds count, its memory apart.

    Nor does the memory of whoever measures count.
    """
    held = b"1" * (1100 * 2**20)
    work = "import time\nwhile time.process_time() < 0.3: pass\n" + "x = bytearray(64 * 2**20)"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}]); print(7)"
    ended = run_program([sys.executable, "-c", start], tmp_path, {**os.environ, "A": "1"})
    assert ended.exit_code == 0
    assert ended.spent.processor_seconds >= 0.3
    assert 64 < ended.peak_mib < 1000
    assert len(held) > 0


def test_a_program_that_fails_says_how() -> None:
    assert run_program([sys.executable, "-c", "raise SystemExit(3)"]).exit_code == 3
    killed = run_program([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert killed.exit_code == -9


PEAKS = """
from benchmarks.measuring import peak_mib
before = peak_mib()
block = b"1" * (128 * 2**20)
during = peak_mib()
del block
print(before, during, peak_mib())
"""


def test_the_peak_of_memory_does_not_fall() -> None:
    words = succeed([sys.executable, "-c", PEAKS], ROOT).split()
    before, during, after = map(float, words)
    assert after >= during - 1  # the kernel counts pages late
    assert during >= before + 100


def test_medians_are_of_columns() -> None:
    assert medians([(1.0, 30.0), (2.0, 10.0), (9.0, 20.0)]) == [2.0, 20.0]
    turns = [Turn(None, Spent(9.0, seconds)) for seconds in (1.0, 5.0, 3.0)]
    assert median_processor_seconds(turns) == 3.0
    with pytest.raises(ValueError, match="zip"):
        medians([(1.0, 2.0), (1.0,)])


def test_ratios_are_turn_by_turn() -> None:
    assert ratios([4.0, 9.0], [2.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_a_median_stands_before_its_range() -> None:
    assert with_range([1.2, 2.4, 1.8]) == "1.80 [1.20 … 2.40]"
    assert with_range([1000.0, 3000.0], ",.0f") == "2,000 [1,000 … 3,000]"


def test_a_claim_that_fails_is_loud() -> None:
    assert [verdict(True), verdict(False)] == ["holds", "DOES NOT HOLD"]


def test_tables_are_aligned() -> None:
    text = table(("stage", "rows"), [("score", "1,000"), ("infogain", "7")])
    assert text.splitlines() == ["stage      rows", "score     1,000", "infogain      7"]
    assert table(("nothing", "rows"), []) == "nothing  rows"
