"""Every row that trained a policy is counted, every token accounted for, files as promised."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fixtures.checkouts import succeed
from lineage.answers.rows import rows
from lineage.record.audit import open_audit
from lineage.record.errors import AuditError
from lineage.telling.plain import plain
from tests.lineage.forging import PART, cover_up, edited, put

LEDGER, ROLLOUTS, DEMOS = (
    "data/rounds/s1/ledger.parquet",
    "data/rounds/s1/rollouts.parquet",
    "data/demos/r0.parquet",
)


def checks(tree: Path) -> list[tuple[str, str]]:
    """What the audit of the last policy finds."""
    findings = rows(open_audit(tree, None), "s1").findings
    return [(finding.check, finding.subject) for finding in findings]


def test_each_generation_adds_up_to_what_its_update_says(audited: Path) -> None:
    answer = rows(open_audit(audited, None), "s1")
    assert answer.findings == []
    assert [(one.generation, one.kind, one.epochs) for one in answer.generations] == [
        ("r0", "demonstration", 2),
        ("i1", "rollout", 4),
        ("s1", "rollout", 1),
    ]
    for generation in answer.generations[1:]:
        path = audited / f"data/metrics/updates/{generation.generation}.json"
        tokens = json.loads(path.read_text())["tokens"]
        by_status = {row.status: row for row in generation.rows}
        assert by_status["trained"].num_trained_tokens == tokens["trained"]
        assert sum(row.num_forced_tokens or 0 for row in generation.rows) == tokens["forced"]
        for status in by_status.keys() - {"trained"}:
            assert by_status[status].num_untrained_tokens == tokens[status]
        assert generation.sum.num_tokens == generation.num_generated_tokens
        assert generation.num_generated_tokens
        assert generation.sum.num_rows == sum(row.num_rows for row in generation.rows)


def test_its_json_is_what_it_was(audited: Path) -> None:
    answer = plain(rows(open_audit(audited, None), "s1"))
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == [
        *("policy", "commit", "generations", "num_problems_trained", "unknown", "out"),
        "findings",
    ]
    first, *_, last = answer["generations"]
    tokens = ["num_trained_tokens", "num_forced_tokens", "num_untrained_tokens", "num_tokens"]
    assert list(last["rows"][0]) == ["status", "num_rows", "num_problems", *tokens]
    assert list(last["sum"]) == ["status", "num_rows", *tokens]
    assert [first["sum"][name] for name in tokens] == [None] * 4


def test_problems_are_counted_once(audited: Path) -> None:
    answer = rows(open_audit(audited, None), "s1")
    ledger = pq.read_table(audited / LEDGER).to_pylist()
    for row in answer.generations[2].rows:
        names = {entry["problem_id"] for entry in ledger if entry["status"] == row.status}
        assert row.num_problems == len(names)
    demonstrated = {*pq.read_table(audited / DEMOS)["problem_id"].to_pylist()}
    assert answer.num_problems_trained == len(demonstrated)


def test_an_ancestor_is_shown_without_what_came_later(audited: Path) -> None:
    generations = rows(open_audit(audited, None), "i1").generations
    assert [one.generation for one in generations] == ["r0", "i1"]


def read(path: Path) -> list[dict[str, Any]]:
    """A written file, every value as text."""
    if path.suffix == ".parquet":
        written = pq.read_table(path).to_pylist()
    elif path.suffix == ".jsonl":
        written = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        with path.open(newline="") as lines:
            written = [*csv.DictReader(lines)]
    return [as_text(row) for row in written]


def as_text(row: dict[str, Any]) -> dict[str, str | None]:
    return {key: None if value in (None, "") else str(value) for key, value in row.items()}


def test_every_row_is_written_alike_in_every_format(audited: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"rows{ending}" for ending in (".parquet", ".jsonl", ".csv")]
    for file in files:
        rows(open_audit(audited, None), "s1", file)
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in files}
    first, second, third = map(read, files)
    assert first == second
    for row, other in zip(first, third, strict=True):  # CSV has fewer digits of an advantage
        assert {**row, "mean_advantage": None} == {**other, "mean_advantage": None}
    assert len(first) == 8000 + 96 + 96
    assert first[0]["kind"] == "demonstration"
    assert first[0]["epochs"] == "2"
    ledger = pq.read_table(audited / LEDGER).to_pylist()[-1]
    table = pq.read_table(audited / "data/problems.parquet").to_pylist()
    problems = {row["problem_id"]: row for row in table}
    assert first[-1] == {
        "generation": "s1",
        "kind": "rollout",
        "row_id": ledger["rollout_id"],
        "problem_id": ledger["problem_id"],
        "difficulty": str(problems[ledger["problem_id"]]["difficulty"]),
        "status": ledger["status"],
        "why": {"trained": None, "filtered_zero_advantage": "no token has an advantage"}[
            ledger["status"]
        ],
        "epochs": "1",
        "num_trained_tokens": str(ledger["num_trained_tokens"]),
        "mean_advantage": str(ledger["mean_advantage"]),
        "table_md5": rows(open_audit(audited, None), "s1").generations[2].table.md5,
    }


def test_a_file_that_cannot_be_written_is_said_and_none_is_left(
    audited: Path, tmp_path: Path
) -> None:
    with pytest.raises(AuditError, match=r"choose an ending from \.parquet, \.csv, \.jsonl"):
        rows(open_audit(audited, None), "s1", tmp_path / "rows.txt")
    with pytest.raises(AuditError, match="No such file or directory"):
        rows(open_audit(audited, None), "s1", tmp_path / "nowhere/rows.csv")
    assert not list(tmp_path.iterdir())


def test_a_bad_table_leaves_no_file(copy: Path, tmp_path: Path) -> None:
    put(copy / LEDGER / PART, b"PAR1, but no table")
    cover_up(copy, LEDGER)
    with pytest.raises(AuditError, match=r"ledger\.parquet is no Parquet table"):
        rows(open_audit(copy, None), "s1", tmp_path / "rows.parquet")
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_an_old_commit_and_a_bare_clone_tell_the_same(copy: Path, tmp_path: Path) -> None:
    before = rows(open_audit(copy, None), "s1")
    edited(copy / LEDGER, "status", lambda values: ["forgotten", *values[1:]])
    cover_up(copy, LEDGER)
    assert rows(open_audit(copy, "HEAD~1"), "s1") == before
    succeed(["git", "clone", "--quiet", "--bare", str(copy), "bare"], tmp_path)
    bare = open_audit(tmp_path / "bare", "HEAD~1", remotes={"shelf": str(copy / ".dvc/cache")})
    assert rows(bare, "s1") == before


@pytest.mark.parametrize(
    ("column", "change", "check"),
    [
        ("status", lambda values: ["forgotten", *values[1:]], "unknown status"),
        ("num_trained_tokens", lambda values: [values[0] + 1, *values[1:]], "tokens unaccounted"),
        ("num_untrained_tokens", lambda values: [n or 1 for n in values], "tokens against status"),
        ("problem_id", lambda values: ["countdown:nowhere", *values[1:]], "unknown problem"),
    ],
)
def test_a_ledger_that_does_not_add_up(copy: Path, column: str, change: Any, check: str) -> None:
    edited(copy / LEDGER, column, change)
    cover_up(copy, LEDGER)
    assert (check, LEDGER) in checks(copy)


def test_a_rollout_that_the_ledger_leaves_out(copy: Path) -> None:
    table = pq.read_table(copy / LEDGER)
    (copy / LEDGER / PART).unlink()
    pq.write_table(table.slice(1), copy / LEDGER / PART)
    cover_up(copy, LEDGER)
    assert checks(copy) == [("rollouts unaccounted", LEDGER), ("tokens unaccounted", LEDGER)]


def test_bytes_that_are_nowhere_are_said(audited: Path, tmp_path: Path) -> None:
    succeed(["git", "clone", "--quiet", "--bare", str(audited), "bare"], tmp_path)
    with pytest.raises(AuditError, match=r"are not in any place.*`dvc pull`"):
        rows(open_audit(tmp_path / "bare", None), "s1")
