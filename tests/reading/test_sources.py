"""Rounds and exams as folders have them, and names as SQL takes them."""

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reading.database import Database
from reading.errors import NotThere
from reading.sources import folders, last, quoted, simple

CONNECTION = duckdb.connect()


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_name_is_a_name_in_sql(name: str) -> None:
    described = CONNECTION.execute(f"SELECT 1 AS {quoted(name)}").description
    assert described is not None
    assert described[0][0] == name


def test_names_that_need_no_quotes_have_none() -> None:
    assert [*map(simple, ("rollout_id", "A", 'a"b', "1"))] == ["rollout_id", '"A"', '"a""b"', '"1"']


def test_folders_with_a_table_are_sources(data: Path, tmp_path: Path) -> None:
    assert [name for name, _ in folders(data)] == ["rounds/i1", "exams/i1", "exams/r0"]
    (tmp_path / "rounds" / "begun" / "scores.parquet").mkdir(parents=True)
    assert [*folders(tmp_path)] == []


def test_keys_are_those_of_the_tables_page(database: Database) -> None:
    tables = database.source("rounds/i1").tables
    keys = {name: table.key for name, table in tables.items()}
    assert keys["gains"] == ("rollout_id", "segment_index")
    assert keys["probes"] == ("rollout_id", "boundary_index")
    assert keys["ledger"] == ("rollout_id",)
    assert keys["problems"] == ("problem_id",)
    exam = database.source("exams/i1").tables
    assert exam["grades"].key == ("problem_id", "temperature", "sample_index", "budget_tokens")
    assert exam["thoughts"].key == ("problem_id", "temperature", "sample_index")


def test_a_table_that_is_missing_is_named(database: Database) -> None:
    with pytest.raises(NotThere, match="rounds/i1 has no table validation yet; `knowhow plan`"):
        database.source("rounds/i1").need("validation")


def test_the_last_of_a_kind_is_by_name() -> None:
    assert last(["rounds/i2", "rounds/i1", "exams/z"], "rounds") == ["rounds/i2"]
    assert last(["exams/z"], "rounds") == []
