"""The rounds and exams under `data`, and the tables each has."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reading.errors import NotThere

KINDS = {
    "rounds": ("rollout_id", "segment_index", "boundary_index"),
    "exams": ("problem_id", "temperature", "sample_index", "budget_tokens"),
}
"""The folders that have sources, and the columns of which the keys of their tables are made."""
OWN_KEYS = {"advantages": ("rollout_id", "start_token"), "problems": ("problem_id",)}
"""Of tables whose key is made of others."""
PROBLEMS = "problems"
SIMPLE = re.compile(r"[a-z_][a-z0-9_]*")


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def simple(name: str) -> str:
    """A name as SQL takes it, without quotes where it needs none."""
    return name if SIMPLE.fullmatch(name) else quoted(name)


@dataclass(frozen=True)
class StoredTable:
    """A table as it lies on disk."""

    name: str
    path: Path
    columns: Mapping[str, str]
    """Types by name, as DuckDB says them."""
    key_columns: tuple[str, ...]

    @property
    def sql_name(self) -> str:
        """Its name in SQL, without its schema."""
        return simple(self.name)

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row."""
        if self.name in OWN_KEYS:
            return OWN_KEYS[self.name]
        return tuple(name for name in self.key_columns if name in self.columns)


@dataclass(frozen=True)
class Source:
    """A round or an exam; `name` is its folder under `data`, such as `rounds/i3`."""

    name: str
    tables: Mapping[str, StoredTable]

    @property
    def kind(self) -> str:
        """`rounds` or `exams`."""
        return self.name.partition("/")[0]

    @property
    def column_names(self) -> set[str]:
        """The names of all columns of all its tables."""
        return {name for table in self.tables.values() for name in table.columns}

    def need(self, table: str) -> StoredTable:
        """A table of it.

        Raises:
            NotThere: the step that writes it has not run.
        """
        if table not in self.tables:
            raise NotThere(f"{self.name} has no table {table} yet; `knowhow plan` says what runs")
        return self.tables[table]


def last(names: Iterable[str], kind: str) -> list[str]:
    """The last of a kind by name; none where there is none."""
    return sorted(name for name in names if name.startswith(f"{kind}/"))[-1:]


def parts(path: Path) -> list[Path]:
    """The files of a table in their order."""
    return sorted(path.glob("part-*.parquet"))


def folders(data: Path) -> Iterator[tuple[str, list[Path]]]:
    """Rounds and exams by name, each with the tables that have any part, in the order of names."""
    for kind in KINDS:
        for folder in sorted((data / kind).glob("*/")):
            tables = [path for path in sorted(folder.glob("*.parquet")) if parts(path)]
            if tables:
                yield f"{kind}/{folder.name}", tables
