"""The rows that trained a policy, counted in a table for a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lineage.answers.rows import GenerationRows, Rows, StatusRows, SumRows
from lineage.data.accounts import WHY
from lineage.telling.words import NOTHING, count

COLUMNS = ("rows", "problems", "trained", "forced", "left out", "tokens")


def text(answer: Rows) -> RenderableType:
    """The counts, what statuses mean, and what is not right."""
    table = Table("generation", "kind", "status", box=None, pad_edge=False, padding=(0, 1))
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for generation in answer.generations:
        for cells in _rows(generation):
            table.add_row(*cells)
    statuses = {row.status for generation in answer.generations for row in generation.rows}
    lines = [f"{_short(name)}: {why}" for name, why in WHY.items() if why and name in statuses]
    lines.append(
        f"{count(answer.num_problems_trained)} different problems trained {answer.policy} and its "
        "ancestors"
    )
    lines += [f"not known here: what trained the checkpoint that {name}" for name in answer.unknown]
    lines += [f"every row is in {answer.out}"] if answer.out else []
    findings = [Text(str(finding), "red") for finding in answer.findings]
    return Group(table, Text(), *map(Text, lines), *findings)


def _rows(generation: GenerationRows) -> list[list[str]]:
    rows = [_cells(row, count(row.num_problems)) for row in generation.rows]
    if len(rows) > 1:
        rows.append(_cells(generation.sum, ""))
    heads = [(generation.generation, generation.kind), *[("", "")] * len(rows)]
    return [[*head, *cells] for head, cells in zip(heads, rows, strict=False)]


def _cells(row: StatusRows | SumRows, problems: str) -> list[str]:
    tokens = (row.num_trained_tokens, row.num_forced_tokens, row.num_untrained_tokens)
    cells = [_short(row.status), count(row.num_rows), problems]
    return cells + [NOTHING if n is None else count(n) for n in (*tokens, row.num_tokens)]


def _short(status: str) -> str:
    return status.removeprefix("filtered_")
