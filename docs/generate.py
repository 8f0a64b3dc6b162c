"""Write docs/tables.md from the schemas.

Example: python docs/generate.py
"""

from pathlib import Path

from stages.contracts.tables import TABLES, Table

PAGE = Path(__file__).parent / "tables.md"
HEAD = """# Tables

Every table is Parquet, sorted by its key, and checked against its schema whenever it is written or read. The tables of
a round pass a Great Expectations suite each in `validate`. Generated from `stages/contracts/tables.py` by `make docs`.
"""


def section(table: Table) -> str:
    """One table as Markdown."""
    rows = []
    for field in table.schema:
        description = field.metadata[b"description"].decode()
        rows.append(f"| `{field.name}` | {field.type} | {'yes' if field.nullable else ''} | {description} |")
    head = f"## {table.name}\n\nOne row is {table.grain}. Key: {', '.join(f'`{name}`' for name in table.key)}.\n"
    return "\n".join([head, "| column | type | null | what it is |", "|---|---|---|---|", *rows])


def page() -> str:
    """The whole page."""
    return "\n\n".join([HEAD.rstrip(), *map(section, TABLES.values())]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
