"""The tables in DuckDB: one view a table, and queries that can read these and nothing else.

A query comes from whoever opened the page, and what it reads was written by policies. So the
database lies in memory, the files of the tables are all that it may open, its settings are locked
once these are named, and a query is one SELECT in a transaction that only reads, for some seconds.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from reading.errors import NotThere
from reading.sources import KINDS, PROBLEMS, Source, StoredTable, folders, parts, quoted
from reading.tokens import Decoder

MAX_SECONDS = 30.0
MAX_ROWS = 10_000
SETTINGS: dict[str, Any] = {
    "threads": 2,
    "memory_limit": "4GB",
    "temp_directory": "",
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}


class Answer(NamedTuple):
    """Rows of a query: names of columns, then values."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Database:
    """All tables under a folder `data`: `"rounds/i3".rollouts`, `problems`."""

    def __init__(self, data: Path) -> None:
        self.decoder = Decoder(data / "policies")
        self._connection = duckdb.connect(":memory:", config=SETTINGS)
        self.views: list[str] = []
        allowed: list[str] = []
        self._problems = self._view(data / f"{PROBLEMS}.parquet", "", (), allowed)
        self.sources = {name: self._source(name, paths, allowed) for name, paths in folders(data)}
        self.decoder.register(self._connection)
        self._connection.execute(f"SET allowed_paths = [{', '.join(map(_text, allowed))}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def source(self, name: str) -> Source:
        """A round or an exam by its name.

        Raises:
            NotThere: there is none.
        """
        if name not in self.sources:
            there = ", ".join(self.sources) or "none; `knowhow train` makes them"
            raise NotThere(f"there is no {name}; there are {there}")
        return self.sources[name]

    def ask(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), limit: int = MAX_ROWS
    ) -> Answer:
        """The first rows of one SELECT.

        Raises:
            NotThere: it is not one SELECT, DuckDB refuses it, or it takes too long.
        """
        cursor = self._connection.cursor()
        try:
            kinds = [statement.type for statement in cursor.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise NotThere("a query is one SELECT, and nothing besides it")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            with _limited(cursor):
                cursor.execute(sql, parameters or None)
                columns = [each[0] for each in cursor.description or []]
                return Answer(columns, cursor.fetchmany(limit))
        except duckdb.InterruptException:
            raise NotThere(f"the query took more than {MAX_SECONDS:.0f} seconds") from None
        except duckdb.Error as error:
            raise NotThere(f"DuckDB refuses it: {error}") from None
        finally:
            cursor.close()

    def _source(self, name: str, paths: Sequence[Path], allowed: list[str]) -> Source:
        self._define(f"CREATE SCHEMA {quoted(name)}")
        keys = KINDS[name.partition("/")[0]]
        found = [self._view(path, f"{quoted(name)}.", keys, allowed) for path in paths]
        tables = {table.name: table for table in found if table}
        if self._problems:
            tables[PROBLEMS] = self._problems
        return Source(name, tables)

    def _view(
        self, path: Path, schema: str, keys: tuple[str, ...], allowed: list[str]
    ) -> StoredTable | None:
        """A view of a table; None where the table is not there."""
        files = parts(path)
        if not files:
            return None
        view = f"{schema}{quoted(path.stem)}"
        listed = ", ".join(_text(str(file)) for file in files)
        try:
            self._define(f"CREATE VIEW {view} AS SELECT * FROM read_parquet([{listed}])")
            described = self._connection.execute(f"DESCRIBE {view}").fetchall()
        except duckdb.Error as error:
            raise NotThere(
                f"{path} is not a Parquet table ({error}); `dvc repro` makes it anew once deleted"
            ) from None
        allowed += [str(file) for file in files]
        columns = {name: kind for name, kind, *_ in described}
        return StoredTable(path.stem, path, columns, keys)

    def _define(self, sql: str) -> None:
        self._connection.execute(sql)
        self.views.append(f"{sql};")


def _text(value: str) -> str:
    """A text as SQL takes it."""
    return "'" + value.replace("'", "''") + "'"


@contextmanager
def _limited(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Interrupt what runs in the block when it takes too long."""
    timer = threading.Timer(MAX_SECONDS, cursor.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
