"""The benchmark's trees are as an audit wants them, and it measures the process that answers."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.audit_speed import Answer, ask, middle, table
from benchmarks.audit_tree import main
from benchmarks.measuring import Spent
from lineage.answers.rows import rows
from lineage.record.audit import open_audit


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small one."""
    folder = tmp_path_factory.mktemp("grown") / "tree"
    main(folder, num_rounds=2, num_problems=30, group_size=3)
    return folder


def test_a_round_has_every_entry_and_every_row(tree: Path) -> None:
    audit = open_audit(tree, None)
    assert [
        step.key
        for step in audit.graph.ancestors(audit.graph.policy("n2"))
        if step.group == "update"
    ] == [
        "n1",
        "n2",
    ]
    assert {"examine", "evaluate", "validate", "update"} <= audit.graph.of_key("n2").keys()
    assert pq.read_table(tree / "data/rounds/n2/ledger.parquet").num_rows == 90
    answer = rows(audit, "n2")
    assert answer.findings == []
    assert [status.num_rows for status in answer.generations[-1].rows] == [81, 9]


@pytest.mark.parametrize("question", ["rows", "leaks"])
def test_a_question_is_answered_and_measured(tree: Path, question: str) -> None:
    answer = ask(tree, question, [question, "n2"])
    assert answer.exit_code == 0
    assert answer.spent.seconds > 0
    assert answer.spent.processor_seconds > 0
    assert answer.peak_mib > 10


def test_a_failure_among_repeats_is_seen() -> None:
    runs = ((1.0, 0), (9.0, 1), (2.0, 0))
    answers = [Answer("rows", Spent(seconds, seconds / 2), 100.0, code) for seconds, code in runs]
    assert middle(answers) == Answer("rows", Spent(2.0, 1.0), 100.0, 1)
    assert table("3 rounds", [middle(answers)]).splitlines()[1].split() == [
        *("rows", "2.00", "1.00", "100", "1"),
    ]
