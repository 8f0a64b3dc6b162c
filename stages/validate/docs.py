"""Data Docs: one HTML page a table, and one that lists them, of what validation.json states.

Values of tables are text here: all is escaped, nothing is loaded, and no script runs. A clone makes
the pages from the validation.json that it pulled:

    python -m stages.validate.docs --round-id i1 \
        --validation data/rounds/i1/validation.json --docs data/docs/i1
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.running.errors import BadInput, command
from stages.running.publish import atomic, read_json
from stages.validate.tables import TABLES

TEMPLATE = "docs.html.j2"


def main(round_id: str, validation: Path, docs: Path) -> None:
    """Write the Data Docs of a round that passed."""
    tables = read_json(validation).get("tables")
    if not isinstance(tables, dict) or not tables.keys() <= TABLES.keys():
        raise BadInput(f"{validation} is not what the gate writes: its tables are not a round's")
    write_docs(docs, round_id, tables)


def write_docs(docs: Path, round_id: str, tables: Mapping[str, Mapping[str, Any]]) -> None:
    """Write one page a table, then index.html.

    Args:
        docs: the folder of the pages.
        round_id: the round, for their titles.
        tables: each table's `num_rows` and `expectations`, as validation.json has them.
    """
    docs.mkdir(parents=True, exist_ok=True)
    tables = {name: tables[name] for name in TABLES if name in tables}  # JSON is sorted by name
    for name, table in tables.items():
        _write(docs / f"{name}.html", f"Round {round_id}: {name}", tables, table)
    _write(docs / "index.html", f"Round {round_id}: are its tables fit to train on?", tables, None)


def _write(
    path: Path,
    title: str,
    tables: Mapping[str, Mapping[str, Any]],
    table: Mapping[str, Any] | None,
) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template(TEMPLATE).render(title=title, tables=tables, table=table)
    with atomic(path) as beside:
        beside.write_text(page, encoding="utf-8", errors="replace")


if __name__ == "__main__":
    command(main)
