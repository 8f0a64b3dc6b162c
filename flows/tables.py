"""Look at any Parquet table of the project: what its columns mean, and its rows."""

import json
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

DATA = Path("data")
NO_TABLES = (".scratch", "experiments")
MAX_ITEMS, MAX_CHARACTERS = 6, 200
NULL = "null"


class Refused(Exception):
    """There is no such table, column or value; says what there is."""


class View:
    """A table with the rows and columns asked for.

    Raises:
        Refused: the table is missing or no Parquet, a column is unknown, or a value does not fit its column.
    """

    def __init__(self, path: Path, columns: Sequence[str], where: Sequence[str], limit: int) -> None:
        if not path.exists():
            raise Refused(f"{path} is missing; `knowhow tables` lists the tables there are")
        try:
            dataset = _dataset(path)
            self.fields = [_field(dataset.schema, path, name) for name in columns or dataset.schema.names]
            conditions = [_condition(dataset.schema, path, text) for text in where]
            condition = reduce(lambda one, other: one & other, conditions) if conditions else None
            shown = [field.name for field in self.fields]
            self.num_rows: int = dataset.count_rows()
            self.num_found: int = dataset.count_rows(filter=condition)
            self.rows: list[dict[str, Any]] = dataset.head(limit, columns=shown, filter=condition).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise Refused(f"{path} is no Parquet table ({error}); `dvc repro` makes it anew once deleted") from None
        self.path = path

    def as_json(self) -> str:
        """All of it for a machine: lists whole."""
        schema = [{"column": f.name, "type": str(f.type), "description": _description(f)} for f in self.fields]
        content = {"table": str(self.path), "num_rows": self.num_rows, "num_found": self.num_found}
        return json.dumps({**content, "schema": schema, "rows": self.rows}, indent=2, default=str)

    def as_text(self) -> str:
        """All of it for a person: long lists and texts cut."""
        head = [("COLUMN", "TYPE", "WHAT IT IS"), *((f.name, str(f.type), _description(f)) for f in self.fields)]
        width = max((len(field.name) for field in self.fields), default=0)
        lines = [*aligned(head)]
        for index, row in enumerate(self.rows):
            lines += ["", f"row {index}", *(f"  {name:{width}}  {shortened(value)}" for name, value in row.items())]
        found = f"{self.num_found:,} of {self.num_rows:,}" if self.num_found < self.num_rows else f"{self.num_rows:,}"
        return "\n".join([*lines, "", f"{len(self.rows):,} of {found} rows shown."])


def listed() -> list[tuple[str, str, str]]:
    """Every table under `data`: path, rows, columns."""
    found = []
    for path in sorted(DATA.glob("**/*.parquet")):
        is_part = path.parent.suffix == path.suffix
        if not is_part and path.relative_to(DATA).parts[0] not in NO_TABLES:
            dataset = _dataset(path)
            found.append((str(path), f"{dataset.count_rows():,}", " ".join(dataset.schema.names)))
    return found


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, all columns but the last padded."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    padded = ([*(f"{cell:{width}}" for cell, width in zip(row[:-1], widths, strict=True)), row[-1]] for row in rows)
    return ["  ".join(cells).rstrip() for cells in padded]


def shortened(value: Any) -> str:
    """A cell on one line."""
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        return f"[{', '.join(shortened(item) for item in value[:MAX_ITEMS])}, … {len(value):,} in all]"
    if isinstance(value, list):
        return f"[{', '.join(map(shortened, value))}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = NULL if value is None else repr(value)[1:-1] if isinstance(value, str) else str(value)
    return f"{text[:MAX_CHARACTERS]}… {len(text):,} characters in all" if len(text) > MAX_CHARACTERS else text


def _dataset(path: Path) -> pyarrow.dataset.Dataset:
    """A table: its part files in their order, or a lone file."""
    parts = sorted(map(str, path.iterdir())) if path.is_dir() else str(path)
    return pyarrow.dataset.dataset(parts, format="parquet")


def _field(schema: pa.Schema, path: Path, name: str) -> pa.Field:
    if name not in schema.names:
        raise Refused(f"{path} has no column {name}; choose from {', '.join(schema.names)}")
    return schema.field(name)


def _condition(schema: pa.Schema, path: Path, text: str) -> pc.Expression:
    name, equals, value = text.partition("=")
    if not equals:
        raise Refused(f"--where {text} is not COLUMN=VALUE, as in --where verdict=correct")
    field = _field(schema, path, name)
    if value == NULL:
        return pc.field(name).is_null()
    try:
        return pc.field(name) == pa.scalar(value).cast(field.type)
    except (pa.ArrowException, NotImplementedError):
        raise Refused(f"--where {text}: {value} is no {field.type}, which column {name} of {path} holds") from None


def _description(field: pa.Field) -> str:
    return (field.metadata or {}).get(b"description", b"").decode()
