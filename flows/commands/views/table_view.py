"""What `knowhow tables` shows of a Parquet table: what its columns mean, and its rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from flows.commands.views.console import aligned
from flows.project.paths import DATA

NO_TABLES = (".scratch", "experiments")
MAX_ITEMS, MAX_CHARACTERS = 6, 200
NULL = "null"
TABLE = ".parquet"


class NotThere(Exception):
    """There is no such table, column or value; says what there is."""


class View:
    """A table with the rows and columns asked for.

    Raises:
        NotThere: the table is missing or not Parquet, a column is unknown, or a value does not fit
            its column.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], where: Sequence[str], limit: int
    ) -> None:
        if not path.exists():
            raise NotThere(f"{path} is missing; `knowhow tables` lists the tables there are")
        try:
            dataset = _dataset(path)
            schema = dataset.schema
            self.fields = [_field(schema, path, name) for name in columns or schema.names]
            condition = _all_of([_condition(schema, path, text) for text in where])
            shown = [field.name for field in self.fields]
            self.num_rows: int = dataset.count_rows()
            self.num_found: int = dataset.count_rows(filter=condition)
            head = dataset.head(limit, columns=shown, filter=condition)
            self.rows: list[dict[str, Any]] = head.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise NotThere(_no_table(path, error)) from None
        self.path = path

    def as_json(self) -> str:
        """All of it for a machine: lists whole."""
        schema = []
        for field in self.fields:
            described = {"type": str(field.type), "description": _description(field)}
            schema.append({"column": field.name, **described})
        counts = {"num_rows": self.num_rows, "num_found": self.num_found}
        content = {"table": str(self.path), **counts, "schema": schema, "rows": self.rows}
        return json.dumps(content, indent=2, default=str)

    def as_text(self) -> str:
        """All of it for a person: long lists and texts cut."""
        head = [("COLUMN", "TYPE", "WHAT IT IS")]
        head += [(field.name, str(field.type), _description(field)) for field in self.fields]
        width = max((len(field.name) for field in self.fields), default=0)
        lines = aligned(head)
        for index, row in enumerate(self.rows):
            lines += ["", f"row {index}"]
            lines += [f"  {name:{width}}  {shortened(value)}" for name, value in row.items()]
        is_filtered = self.num_found < self.num_rows
        found = f"{self.num_found:,} of " if is_filtered else ""
        total = f"{len(self.rows):,} of {found}{self.num_rows:,} rows shown."
        return "\n".join([*lines, "", total])


def listed() -> list[tuple[str, str, str]]:
    """Every table under `data`: path, rows, columns."""
    tables = []
    for path in sorted(DATA.glob("**/*.parquet")):
        is_file_of_table = path.parent.suffix == path.suffix
        if not is_file_of_table and path.relative_to(DATA).parts[0] not in NO_TABLES:
            dataset = _dataset(path)
            names = " ".join(dataset.schema.names)
            tables.append((str(path), f"{dataset.count_rows():,}", names))
    return tables


def shortened(value: Any) -> str:
    """A cell on one line."""
    if isinstance(value, list):
        items = [shortened(item) for item in value[:MAX_ITEMS]]
        if len(value) > MAX_ITEMS:
            items.append(f"… {len(value):,} in all")
        return f"[{', '.join(items)}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = NULL if value is None else repr(value)[1:-1] if isinstance(value, str) else str(value)
    if len(text) > MAX_CHARACTERS:
        return f"{text[:MAX_CHARACTERS]}… {len(text):,} characters in all"
    return text


def column_names(path: Path) -> list[str]:
    """The columns of a table.

    Raises:
        NotThere: it is no table.
    """
    try:
        names: list[str] = _dataset(path).schema.names
        return names
    except (pa.ArrowException, OSError) as error:
        raise NotThere(_no_table(path, error)) from None


def _no_table(path: Path, error: Exception) -> str:
    """What to do depends on whose it is: a table of ours is made anew, another file is not one."""
    advice = (
        "delete it, and `dvc repro` makes it anew"
        if path.suffix == TABLE and DATA in path.parents
        else "`knowhow tables` lists the tables there are"
    )
    return f"{path} is not a Parquet table ({error}); {advice}"


def _dataset(path: Path) -> pyarrow.dataset.Dataset:
    """A table: the files of its folder in their order, or a lone file."""
    files = sorted(map(str, path.iterdir())) if path.is_dir() else str(path)
    return pyarrow.dataset.dataset(files, format="parquet")


def _field(schema: pa.Schema, path: Path, name: str) -> pa.Field:
    if name not in schema.names:
        raise NotThere(f"{path} has no column {name}; choose from {', '.join(schema.names)}")
    return schema.field(name)


def _condition(schema: pa.Schema, path: Path, text: str) -> pc.Expression:
    name, equals, value = text.partition("=")
    if not equals:
        raise NotThere(f"--where {text} is not COLUMN=VALUE, as in --where verdict=correct")
    field = _field(schema, path, name)
    if value == NULL:
        return pc.field(name).is_null()
    try:
        return pc.field(name) == pa.scalar(value).cast(field.type)
    except (pa.ArrowException, NotImplementedError):
        raise NotThere(
            f"--where {text}: {value} is not of type {field.type}, which column {name} of {path} "
            "holds"
        ) from None


def _all_of(conditions: Sequence[pc.Expression]) -> pc.Expression | None:
    """That all of them hold; None where there are none."""
    combined = None
    for condition in conditions:
        combined = condition if combined is None else combined & condition
    return combined


def _description(field: pa.Field) -> str:
    return (field.metadata or {}).get(b"description", b"").decode()
