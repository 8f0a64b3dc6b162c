"""Write docs/tables.md from the schemas.

Example: python docs/generate.py
"""

from pathlib import Path

from stages.contracts.storage.contract import Table
from stages.contracts.tables.all import TABLES

PAGE = Path(__file__).parent / "tables.md"
HEAD = """# Tables

Every table is a folder of Parquet files, `part-00000-of-00002.parquet` and so on, each of at most 131,072 rows, or of
64 MiB as they lie in memory, sorted by key from the first part to the last. Where a part ends depends on the rows
alone. Tables are written and read some rows at a time and checked against their schema each time
(`stages/contracts/storage`); pandas reads the folder as it reads a file. The tables of a round pass a Great
Expectations suite each in `validate`. Generated from `stages/contracts/tables` by `make docs`.
"""


def section(table: Table) -> str:
    """One table as Markdown."""
    rows = []
    for field in table.schema:
        description = field.metadata[b"description"].decode()
        rows.append(
            f"| `{field.name}` | {field.type} | {'yes' if field.nullable else ''} | {description} |"
        )
    head = f"## {table.name}\n\nOne row is {table.grain}. Key: {', '.join(f'`{name}`' for name in table.key)}.\n"
    return "\n".join([head, "| column | type | null | what it is |", "|---|---|---|---|", *rows])


def page() -> str:
    """The whole page."""
    return "\n\n".join([HEAD.rstrip(), *map(section, TABLES.values())]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
