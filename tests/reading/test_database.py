"""Queries read the tables and nothing else."""

import os
from pathlib import Path

import pytest

from reading import database as module
from reading.database import Database
from reading.errors import NotThere


def test_a_query_reads_the_tables(database: Database) -> None:
    sql = 'SELECT verdict, reward FROM "rounds/i1".scores ORDER BY rollout_id'
    answer = database.ask(sql)
    assert answer.columns == ["verdict", "reward"]
    assert answer.rows == [("correct", 1.0), ("incorrect", 0.0), ("unparsable", 0.0)]
    assert database.ask(sql, limit=1).records == [{"verdict": "correct", "reward": 1.0}]
    joined = 'SELECT count(*) FROM "exams/r0".grades JOIN problems USING (problem_id)'
    assert database.ask(joined).rows == [(2,)]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{folder}/stolen.csv'",
        "COPY (SELECT 1) TO '{part}' (FORMAT parquet)",
        "EXPORT DATABASE '{folder}/stolen'",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_blob('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM sniff_csv('{secret}')",
        "SELECT * FROM read_parquet('http://127.0.0.1:9/t.parquet')",
        "ATTACH '{folder}/new.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CREATE TABLE t AS SELECT 1",
        'DROP VIEW "rounds/i1".scores',
        'INSERT INTO "rounds/i1".scores VALUES (1)',
        "SELECT 1; COPY (SELECT 1) TO '{folder}/stolen.csv'",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/stolen.csv''')",
        "SELECT * FROM tokenizer",
        "SELECT getenv('HOME')",
        "no SQL",
        "",
    ],
)
def test_whatever_else_it_tries_is_refused(sql: str, data: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nsecret\n")
    part = next((data / "rounds/i1/scores.parquet").iterdir())
    before = part.read_bytes()
    database = Database(data)
    with pytest.raises(NotThere) as refused:
        database.ask(sql.format(folder=tmp_path, part=part, secret=secret))
    assert "a\nsecret" not in str(refused.value)
    assert os.listdir(tmp_path) == ["secret.csv"]
    assert part.read_bytes() == before
    assert database.ask('SELECT count(*) FROM "rounds/i1".scores').rows == [(3,)]


def test_a_query_that_takes_long_is_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SECONDS", 0.2)
    endless = (
        "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range * b.range = 7"
    )
    with pytest.raises(NotThere, match="more than 0 seconds"):
        database.ask(endless)
    assert database.ask("SELECT 1").rows == [(1,)]


def test_names_of_folders_are_names_and_no_sql(tmp_path: Path, data: Path) -> None:
    odd = 'i1"; DROP VIEW problems; --'
    (tmp_path / "rounds").mkdir()
    (tmp_path / "rounds" / odd).symlink_to(data / "rounds" / "i1")
    (tmp_path / "problems.parquet").symlink_to(data / "problems.parquet")
    database = Database(tmp_path)
    assert [*database.sources] == [f"rounds/{odd}"]
    assert database.ask("SELECT count(*) FROM problems").rows == [(2,)]


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    part = tmp_path / "rounds/i1/scores.parquet/part-00000-of-00001.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"not Parquet")
    with pytest.raises(NotThere, match=r"rounds/i1/scores\.parquet is not a Parquet table"):
        Database(tmp_path)


def test_a_source_that_is_not_there_names_those_that_are(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(NotThere, match="no rounds/i9; there are rounds/i1, exams/i1, exams/r0"):
        database.source("rounds/i9")
    with pytest.raises(NotThere, match="`knowhow train` makes them"):
        Database(tmp_path).source("rounds/i1")
