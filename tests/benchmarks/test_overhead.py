"""What the overhead benchmark makes of run facts, and that DVC really runs its hollow stages."""

from pathlib import Path

import pytest
import yaml

from benchmarks.measuring import Spent
from benchmarks.overhead import (
    Advantage,
    Growth,
    count_stages,
    hollow,
    overhead,
    parts,
    run_in,
    set_rounds,
    table,
)
from fixtures.checkouts import succeed

FACTS = [
    {"seconds": {"total": 10.0, "startup": 3.0, "sampling": 6.0}},
    {"seconds": {"total": 4.0, "startup": 1.0, "framing": 0.5, "validating": 1.5}},
]
GROWTH = Growth(30, 200, Spent(9.0, 8.0), Spent(3.0, 2.0), None)


def test_a_rounds_parts_add_up() -> None:
    of_round = parts(20.0, FACTS)
    assert of_round == Advantage(
        total=20.0, work=6.0, startup=4.0, validation=2.0, other=2.0, dvc=6.0
    )
    assert sum(of_round) == 2 * of_round.total


def test_overhead_is_all_but_work_at_the_length_of_the_chain() -> None:
    assert overhead(GROWTH, [parts(20.0, FACTS)] * 3) == pytest.approx(9 + 4 + 2 + 2)


def test_the_table_holds_the_claims_against_the_longest_chain() -> None:
    rounds = {"cold": [Advantage(60, 6, 30, 9, 6, 9)], "warm": [Advantage(60, 6, 30, 4, 2, 9)]}
    text = table([GROWTH], {"pass": 0.1}, rounds)
    assert "warm at 30 rounds 45.0 s, under 60 s: holds; under 36 s: DOES NOT HOLD" in text
    assert text.splitlines()[2].split() == [
        *("30", "200", "9.0", "(8.0)", "3.0", "(2.0)", "54.0", "45.0"),
    ]


def test_hollow_stages_run_and_leave_what_others_read(tmp_path: Path) -> None:
    tree = hollow(tmp_path)
    set_rounds(tree, 2, branch="f")
    assert list(yaml.safe_load((tree / "params.yaml").read_text())["rounds"]) == ["n1", "n2", "f2"]
    set_rounds(tree, 1)
    spent = run_in(tree, ["dvc", "repro"])
    assert spent.processor_seconds > 0
    # code; r0's; the round's; its exam's; the three that look at all
    assert count_stages(tree) == 1 + 3 + 6 + 3 + 3
    assert "up to date" in succeed(["dvc", "repro"], tree)
