"""Data Docs: one HTML page a table, and one that lists them, of what validation.json states.

Values of tables are text here: all is escaped, nothing is loaded, and no script runs. A clone makes
the pages from the validation.json that it pulled:

    python -m stages.validate.docs --round-id i1 \
        --validation data/rounds/i1/validation.json --docs data/docs/i1
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.running.errors import BadInput, command
from stages.running.pages import templates
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
    template = templates(Path(__file__).parent).get_template(TEMPLATE)
    pages: dict[str, tuple[str, Mapping[str, Any] | None]] = {
        "index.html": ("are its tables fit to train on?", None)
    }
    pages |= {f"{name}.html": (name, table) for name, table in tables.items()}
    for page, (title, table) in pages.items():
        text = template.render(title=f"Round {round_id}: {title}", tables=tables, table=table)
        with atomic(docs / page) as beside:
            beside.write_text(text, encoding="utf-8", errors="replace")


if __name__ == "__main__":
    command(main)
