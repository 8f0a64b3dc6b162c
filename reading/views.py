"""A view of many rollouts: its SQL, by what is searched, filtered and sorted.

A row is a rollout, a segment of one, or an answer of an exam, with the columns of every table that
has one row for it or for what it belongs to. The rows of a page are found first, in as few tables
as the conditions name, and the other columns are looked up for these alone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, NamedTuple

from reading.errors import NotThere
from reading.sources import PROBLEMS, Source, StoredTable, quoted, simple
from reading.tokens import FUNCTION

PAGE_ROWS = 40
"""And one more is asked for: up to 50 keys DuckDB looks up without reading whole tables."""
UNITS = {
    "rollouts": ("rounds", "rollouts"),
    "segments": ("rounds", "segments"),
    "advantages": ("rounds", "advantages"),
    "answers": ("exams", "grades"),
}
"""What a row may be: the kind of source that has it, and the table with a row for each."""
MAX_LIMIT = 1000
"""Rows of a page at most."""
FIRST = {
    "rollouts": ("rollout_id", "reward", "verdict", "completion_text", "answer", "status"),
    "segments": (
        *("rollout_id", "segment_index", "progress", "success_before", "success_after"),
        *("completion_text", "attempt_verdict", "self_verdict"),
    ),
    "advantages": (
        *("rollout_id", "segment_index", "is_stop", "advantage", "outcome_advantage"),
        *("credit_advantage", "clipped_frac", "completion_text"),
    ),
    "answers": (
        *("problem_id", "temperature", "sample_index", "budget_tokens", "used_tokens"),
        *("verdict", "answer", "thinking_text"),
    ),
}
"""The columns of each unit that are shown unasked."""
WRITTEN = {
    "rounds": ("rollouts", "completion_text", "completion_tokens"),
    "exams": ("thoughts", "thinking_text", "thinking_tokens"),
}
"""Where the text stands: its table and column, and that of the token ids for older rows."""
WORD = re.compile(r"\w+")


class Column(NamedTuple):
    """A column of a view: the table that has it, its type, and the SQL of its value."""

    table: str
    kind: str
    sql: str


@dataclass(frozen=True)
class View:
    """What to show: of which source, by which unit, which rows, in what order, which page.

    `where` is an SQL condition. Rows are in the order of their key, or of the column `sort`, from
    its largest where a minus stands before it; those without a value there are left out. Without
    `unit` a row is the first of `UNITS` that has the columns named.
    """

    source: str
    unit: str = ""
    search: str = ""
    where: str = ""
    sort: str = ""
    page: int = 1
    limit: int = PAGE_ROWS

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of the SQL's parameters: what is searched, its wildcards taken as they stand."""
        escaped = re.sub(r"([\\%_])", r"\\\1", self.search)
        return {"search": f"%{escaped}%"} if self.search else {}

    @property
    def sorted_by(self) -> str:
        """The column of `sort`."""
        return self.sort.removeprefix("-")

    @property
    def named(self) -> set[str]:
        """The words that may name columns."""
        return {*WORD.findall(self.where), self.sorted_by}


class Plan:
    """A view's SQL over the tables that a source has.

    Raises:
        NotThere: the source has no such unit or column.
    """

    def __init__(self, view: View, source: Source) -> None:
        self.view, self.source = view, source
        units = [
            name
            for name, (kind, table) in UNITS.items()
            if kind == source.kind and table in source.tables
        ]
        if view.unit and view.unit not in units:
            raise NotThere(f"{source.name} has no {view.unit}; choose from {', '.join(units)}")
        if not units:
            source.need("rollouts" if source.kind == "rounds" else "grades")
        self.text = WRITTEN[source.kind][1]
        for self.unit in [view.unit] if view.unit else units:
            self._base = source.tables[UNITS[self.unit][1]]
            self.key = self._base.key
            self.columns = self._all_columns()
            if view.named & {*source.column_names} <= {*self.columns}:
                break
        if view.sort and view.sorted_by not in self.columns:
            known = ", ".join(self.columns)
            raise NotThere(f"{self.unit} have no column {view.sorted_by}; choose from {known}")

    @property
    def shown(self) -> list[str]:
        """The columns that a page has: all but lists, which are as long as a rollout."""
        return [name for name, column in self.columns.items() if not column.kind.endswith("[]")]

    @property
    def first(self) -> list[str]:
        """The columns to show unasked, and those that conditions name."""
        ordered = dict.fromkeys([*FIRST[self.unit], *sorted(self.view.named)])
        return [name for name in ordered if name in self.shown]

    def sql(self) -> str:
        """The page's rows, and one more where there is a next page."""
        found, is_joined = self._found()
        view, keys = self.view, _listed(self.key)
        order = self._order() if view.sort or is_joined else ""
        page = f"SELECT {keys} FROM {found}{self._conditions()}{order}"
        page += f"\n  LIMIT {view.limit + 1} OFFSET {(view.page - 1) * view.limit}"
        values = fill(", ".join(map(self._value, self.shown)), 96, subsequent_indent="  ")
        joins = self._joins(self._tables(self.shown, self._base), of_page=True)
        joined = f"{self._of_page(self._base)}{joins}"
        head = f"WITH page AS MATERIALIZED (\n  {page}\n)"
        return f"{head}\nSELECT {values}\nFROM {joined}{self._order()}"

    def one_sql(self) -> str:
        """The row whose key the parameters of the same names are, lists too."""
        tables = self._tables(self.columns, self._base)
        values = ", ".join(self._value(name) for name in self.columns)
        named = " AND ".join(f"{self._base.sql_name}.{name} = ${name}" for name in self.key)
        return f"SELECT {values} FROM {self._name(self._base)}{self._joins(tables)} WHERE {named}"

    def count_sql(self) -> str:
        """How many rows there are on all pages."""
        found, _ = self._found()
        return f"SELECT count(*) FROM {found}{self._conditions()}"

    def _found(self) -> tuple[str, bool]:
        """The rows that conditions are held against, and whether tables are joined for them."""
        anchor = self._anchor()
        named = {*self.view.named, self.text if self.view.search else ""}
        needed = [name for name in self.columns if name in named and name not in self.key]
        values = [f"{anchor.sql_name}.{simple(name)}" for name in self.key]
        values += [self._value(name) for name in needed]
        tables = self._tables(needed, anchor)
        inner = f"SELECT {', '.join(values)}\n    FROM {self._name(anchor)}{self._joins(tables)}"
        return f"(\n    {inner}\n  ) AS row", bool(tables)

    def _value(self, name: str) -> str:
        """A column of the view as a SELECT lists it."""
        sql = self.columns[name].sql
        return sql if sql.endswith(f".{simple(name)}") else f"{sql} AS {simple(name)}"

    def _anchor(self) -> StoredTable:
        """The table that is read whole: that of the sorted column where it has all such rows."""
        if not self.view.sort:
            return self._base
        table = self.source.tables[self.columns[self.view.sorted_by].table]
        return table if table.key == self.key else self._base

    def _all_columns(self) -> dict[str, Column]:
        columns: dict[str, Column] = {}
        for table in self._known_tables():
            taken = {*self.key, "problem_id"} if columns else set()
            for name, kind in table.columns.items():
                if name not in taken or name not in columns:
                    own = f"{table.name}_{name}" if name in columns else name
                    columns[own] = Column(table.name, kind, f"{table.sql_name}.{simple(name)}")
        written, text, tokens = WRITTEN[self.source.kind]
        if written in {column.table for column in columns.values()}:
            made = f"{FUNCTION}({written}.policy_id, {written}.{tokens})"
            is_stored = text in self.source.tables[written].columns
            sql = f"coalesce({written}.{text}, {made})" if is_stored else made
            columns[text] = Column(written, "VARCHAR", sql)
        return columns

    def _known_tables(self) -> Iterator[StoredTable]:
        """The tables with one row for each of the view's: its own, others by name, problems."""
        yield self._base
        for _, table in sorted(self.source.tables.items()):
            is_other = table not in (self._base, self.source.tables.get(PROBLEMS))
            if is_other and table.key and {*table.key} <= {*self.key}:
                yield table
        if PROBLEMS in self.source.tables:
            yield self.source.tables[PROBLEMS]

    def _tables(self, names: Iterable[str], anchor: StoredTable) -> list[StoredTable]:
        """The tables that have these columns, besides the anchor; what leads to problems first."""
        wanted = {self.columns[name].table for name in names}
        if PROBLEMS in wanted:
            wanted.add(self.columns["problem_id"].table)
        ordered = sorted(wanted - {anchor.name}, key=lambda name: (name == PROBLEMS, name))
        return [self.source.tables[name] for name in ordered]

    def _joins(self, tables: Sequence[StoredTable], of_page: bool = False) -> str:
        lines = []
        for table in tables:
            if table.name == PROBLEMS:
                owner = self.columns["problem_id"].sql
                lines.append(f"LEFT JOIN {PROBLEMS} ON {PROBLEMS}.problem_id = {owner}")
            else:
                rows = self._of_page(table) if of_page else self._name(table)
                lines.append(f"LEFT JOIN {rows} USING ({_listed(table.key)})")
        return "".join(f"\n    {line}" for line in lines)

    def _of_page(self, table: StoredTable) -> str:
        """The rows of a table that the page's rows are of."""
        name, keys = f"{quoted(self.source.name)}.{table.sql_name}", _listed(table.key)
        return f"(SELECT * FROM {name} SEMI JOIN page USING ({keys})) AS {table.sql_name}"

    def _name(self, table: StoredTable) -> str:
        """A table as FROM names it."""
        return f"{quoted(self.source.name)}.{table.sql_name} AS {table.sql_name}"

    def _conditions(self) -> str:
        view, conditions = self.view, []
        if view.search:
            conditions.append(f"{self.text} ILIKE $search ESCAPE '\\'")
        if view.sort:
            conditions.append(f"{simple(view.sorted_by)} IS NOT NULL")
        if view.where:
            conditions.append(f"({view.where}\n  )")
        return f"\n  WHERE {' AND '.join(conditions)}" if conditions else ""

    def _order(self) -> str:
        direction = " DESC" if self.view.sort.startswith("-") else ""
        first = f"{simple(self.view.sorted_by)}{direction}, " if self.view.sort else ""
        return f"\n  ORDER BY {first}{_listed(self.key)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(simple, names))
