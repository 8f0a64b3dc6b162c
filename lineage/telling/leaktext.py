"""What was compared with the exam's problems and what leaked, for a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lineage.answers.leaks import Leaks
from lineage.telling.words import count


def text(answer: Leaks) -> RenderableType:
    """The tables, how they were compared, and every finding."""
    table = Table("training data", "of", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("rows", justify="right")
    table.add_column("prompts", justify="right")
    for trained in answer.tables:
        numbers = count(trained.num_rows), count(trained.num_prompts)
        table.add_row(trained.table, trained.of, *numbers)
    near = answer.comparisons.near
    lines = [
        f"{count(answer.num_exam_problems)} exam problems held against "
        f"{count(answer.comparisons.exact)} different prompts: by id, by text, by canonical text; "
        f"{count(near.num_compared)} pairs of longer prompts word by word"
    ]
    if near.num_families:
        lines.append(
            f"{count(near.num_families)} exam problems are as like to one another as "
            "near-duplicates are: of those, canonical text alone tells"
        )
    lines += [f"not known here: what trained the checkpoint that {name}" for name in answer.unknown]
    if not answer.findings:
        lines.append(f"no exam problem is in what trained {answer.policy}")
    findings = [Text(str(finding), "red") for finding in answer.findings]
    return Group(table, Text(), *map(Text, lines), *findings)
