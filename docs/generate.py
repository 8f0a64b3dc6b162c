"""Write the tables of the docs: docs/tables.md from the schemas, and those of variants.

A page has a table of variants between two comments, `<!-- NAME, by make docs -->` and
`<!-- end -->`: the first line of each class, its traits, and the function that serves it.

Example: python docs/generate.py
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.contracts.params.base import variants
from stages.contracts.params.inits.demonstrations import Demonstrations
from stages.contracts.params.recipes import segments as cuts
from stages.contracts.params.recipes.objective import Objective
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.params.recipes.update import LOSSES
from stages.contracts.params.task import TaskParams
from stages.contracts.storage.contract import Table
from stages.contracts.tables.all import TABLES
from stages.probe.__main__ import FUNCTIONS
from stages.pure import losses, segments
from stages.pure.diagnosis import RULES
from stages.update.advantage import FORMULAS

FOLDER = Path(__file__).parent
PAGE = FOLDER / "tables.md"
HEAD = """# Tables

Every table is a folder of Parquet files, `part-00000-of-00002.parquet` and so on, each of at most
131,072 rows, or of 64 MiB as they lie in memory, sorted by key from the first part to the last.
Where a part ends depends on the rows alone. Tables are written and read some rows at a time and
checked against their schema each time (`stages/contracts/storage`); pandas reads the folder as it
reads a file. The tables of a round pass a Great Expectations suite each in `validate`. Generated
from `stages/contracts/tables` by `make docs`.
"""
NEEDS = {
    "reads_gains": "gains",
    "grades_attempts": "graded attempts",
    "holds_first_attempt": "`kl_coefficient`",
}
NATS = {"log_success": "log J_j − log J_{j−1}", "entropy": "H_{j−1} − H_j", None: "none"}
STDERR = {
    "known_answers": "0: exact, at its `temperature`",
    "sampled_answers": "of a mean, below",
    "value": "given as 0: how far the critic is wrong is left out",
}
AVERAGES = {
    "sequences": "over each rollout's tokens, then over rollouts",
    "tokens": "over all tokens",
    "budget": "sum / (rollouts × `budget_tokens`)",
}
GUIDE = "when-success-does-not-rise"
FIELD = re.compile(r"\{(\w+)(?::[^}]*)?\}")
MARKED = re.compile(r"(<!-- (\w+), by make docs -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def sentence(documented: Any) -> str:
    """The first line of a docstring, without its full stop."""
    return (inspect.getdoc(documented) or "").split("\n")[0].removesuffix(".")


def code(names: Iterable[str]) -> str:
    """Names as code."""
    return ", ".join(f"`{name}`" for name in names)


def place(function: Callable[..., Any]) -> str:
    """A function and its file."""
    path = f"{function.__module__.replace('.', '/')}.py"
    return f"`{function.__name__}` in `{path}`"


def objectives() -> str:
    """Each objective, its formula, what it needs, and the keys it has."""
    rows = []
    for name, chosen in variants(Objective).items():
        needs = [word for trait, word in NEEDS.items() if getattr(chosen, trait)]
        keys = code(sorted({*chosen.model_fields} - {"name"}))
        needed = ", ".join(needs)
        rows.append([f"`{name}`", sentence(chosen), needed, keys, place(FORMULAS[chosen])])
    return table(["`name`", "advantage", "needs", "keys", "function"], rows)


def estimators() -> str:
    """Each estimator, what success and information are, and its function."""
    rows = []
    for name, chosen in variants(Probe).items():
        measured = [sentence(chosen), NATS[chosen.nats_from], STDERR[chosen.success_from]]
        rows.append([f"`{name}`", *measured, place(FUNCTIONS[chosen])])
    return table(
        ["`estimator`", "J_i", "information, nats", "standard error of Δ", "function"], rows
    )


def loss_forms() -> str:
    """Each loss, by its surrogate and its average."""
    rows = []
    for name, traits in LOSSES.items():
        objective = sentence(getattr(losses, traits.surrogate))
        rows.append([f"`{name}`", objective, AVERAGES[traits.average], traits.arxiv])
    return table(["`loss`", "objective of a token", "mean over a minibatch", "arXiv"], rows)


def ways_to_cut() -> str:
    """Each way to cut thinking."""
    rows = []
    for name, chosen in variants(cuts.Segments).items():
        function = getattr(segments, f"{name}_boundaries").__name__
        rows.append([f"`{name}`", sentence(chosen).lower(), f"`{function}`"])
    return table(["`cut`", "a boundary stands", "function of `stages/pure/segments.py`"], rows)


def strategies() -> str:
    """Each strategy of demonstrations, and the tasks that have it."""
    tasks = variants(TaskParams)
    rows = []
    for name, chosen in variants(Demonstrations).items():
        having = code(task for task, params in tasks.items() if name in params.strategies)
        rows.append([f"`{name}`", sentence(chosen), having])
    return table(["`strategy`", "a demonstration (`stages/tasks/strategies.py`)", "tasks"], rows)


def tasks() -> str:
    """Each task, and what it can give."""
    rows = []
    for name, chosen in variants(TaskParams).items():
        lists = "yes" if chosen.lists_solutions else ""
        rows.append([f"`{name}`", sentence(chosen), code(chosen.strategies), lists])
    return table(
        ["`task.name`", "problems, and who judges", "demonstrations", "lists solutions"], rows
    )


def rules() -> str:
    """Each rule: what it measures, from where on it is a finding, what it says, what to turn."""
    rows = []
    for rule in RULES:
        found = f"`{rule.number}` {rule.side} {rule.threshold:g}"
        said, key = FIELD.sub("…", rule.message), FIELD.sub(r"<\1>", rule.key)
        rows.append([f"`{rule.name}`", found, said, f"`{key}`", rule.cure])
    return table(["rule", "found where", "it says", "key to turn", "how"], rows)


VARIANTS: Mapping[str, Callable[[], str]] = {
    "objectives": objectives,
    "estimators": estimators,
    "losses": loss_forms,
    "cuts": ways_to_cut,
    "strategies": strategies,
    "tasks": tasks,
    "rules": rules,
}
PAGES = tuple(FOLDER / f"{name}.md" for name in ("method", "tasks", GUIDE))


def with_variants(text: str) -> str:
    """A page with its tables of variants written anew."""
    return MARKED.sub(lambda found: f"{found[1]}\n{VARIANTS[found[2]]()}\n\n{found[3]}", text)


def section(described: Table) -> str:
    """One table's columns as Markdown."""
    rows = []
    for field in described.schema:
        description = field.metadata[b"description"].decode()
        null = "yes" if field.nullable else ""
        rows.append([f"`{field.name}`", str(field.type), null, description])
    head = f"## {described.name}\n\nOne row is {described.grain}. Key: {code(described.key)}.\n\n"
    return head + table(["column", "type", "null", "what it is"], rows)


def page() -> str:
    """The whole page of tables."""
    return "\n\n".join([HEAD.rstrip(), *map(section, TABLES.values())]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    for path in PAGES:
        path.write_text(with_variants(path.read_text(encoding="utf-8")), encoding="utf-8")
