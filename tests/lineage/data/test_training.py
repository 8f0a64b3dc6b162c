"""The tables that trained a policy, and what trained it that is not known here."""

from pathlib import Path

import pytest

from lineage.data.training import checkpoints, sources
from lineage.record.errors import AuditError
from lineage.record.graph import Graph
from lineage.record.lock import read_lock
from lineage.record.tree import open_tree
from tests.lineage import chain


def graph_of(folder: Path) -> Graph:
    return Graph.of(read_lock(open_tree(folder)))


def test_a_checkpoint_from_elsewhere_is_named(tmp_path: Path) -> None:
    model = {"checkpoint": "models/base", "sha256": "ab" * 32}
    chain.write(tmp_path, {**chain.beginning(model), **chain.round_of("a1", "r0", 1)})
    named = ["r0 began from models/base (sha256 abababababab)"]
    assert checkpoints(graph_of(tmp_path), "a1") == named


def test_a_judges_rows_count_as_a_sources(tmp_path: Path) -> None:
    steps = {
        **chain.beginning(),
        **chain.round_of("a1", "r0", 1),
        **chain.judge_of("g1", "r0", "a1"),
        **chain.round_of("a2", "r0", 2, judge="g1"),
    }
    with_ledger(steps, "a2")
    chain.write(tmp_path, steps)
    by_name = {source.generation: source for source in sources(graph_of(tmp_path), "a2")}
    assert by_name["judge g1"].kind == "judgement"
    assert by_name["judge g1"].table.path == "data/rounds/a1/rollouts.parquet"
    assert by_name["judge g1"].accounted == by_name["judge g1"].table
    assert by_name["a2"].accounted.path == "data/rounds/a2/ledger.parquet"
    assert "a1" not in by_name


def test_an_update_without_a_ledger_is_no_proof(tmp_path: Path) -> None:
    chain.write(tmp_path, {**chain.beginning(), **chain.round_of("a1", "r0", 1)})
    with pytest.raises(AuditError, match="update@a1 names no ledger among its outputs"):
        sources(graph_of(tmp_path), "a1")


@pytest.mark.parametrize("objective", ["outcome", {"name": "information", "alpha": 1.0}])
def test_epochs_are_read_whatever_else_an_update_says(tmp_path: Path, objective: object) -> None:
    steps = {**chain.beginning(), **chain.round_of("a1", "r0", 1)}
    with_ledger(steps, "a1")
    settings = {"objective": objective, "epochs": 3}
    steps["update@a1"]["params"]["params.yaml"]["recipes.outcome.update"] = settings
    chain.write(tmp_path, steps)
    assert [source.epochs for source in sources(graph_of(tmp_path), "a1")] == [None, 3]


def with_ledger(steps: dict, name: str) -> None:
    path = f"data/rounds/{name}/ledger.parquet"
    steps[f"update@{name}"]["cmd"] += f" --ledger {path}"
    steps[f"update@{name}"]["outs"].append(chain.entry(path))
