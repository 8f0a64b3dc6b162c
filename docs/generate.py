"""Write the tables of the docs: docs/tables.md from the schemas, and those of variants.

Of params.yaml all keys, docs/params.md, and the same as a JSON schema for editors.

A page has a table of variants between two comments, `<!-- NAME, by make docs -->` and
`<!-- end -->`: the first line of each class, its traits, and the function that serves it.

Example: python docs/generate.py
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.contracts.params.base import Section, variants
from stages.contracts.params.inits.demonstrations import Demonstrations
from stages.contracts.params.recipes import segments as cuts
from stages.contracts.params.recipes.objective import Objective
from stages.contracts.params.recipes.probe import Probe
from stages.contracts.params.recipes.update import LOSSES
from stages.contracts.params.task import TaskParams
from stages.contracts.params.whole import Params
from stages.contracts.storage.contract import Table
from stages.contracts.tables.all import TABLES
from stages.probe.__main__ import FUNCTIONS
from stages.pure import losses, segments
from stages.pure.course.diagnosis import RULES
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
PARAMS_PAGE = FOLDER / "params.md"
SCHEMA = FOLDER / "params.schema.json"
PARAMS_HEAD = """# Keys of params.yaml

Every key, in the order of a file; `<name>` is a name of yours. A key that is not needed switches
something off by its absence. What holds between sections is checked besides: `knowhow plan` tells
all that is wrong at once. Generated from `stages/contracts/params` by `make docs`, as is
[a JSON schema](params.schema.json). Behind a first line such as
`# yaml-language-server: $schema=docs/params.schema.json`, which `knowhow init` writes, editors with
the YAML language server complete keys and mark mistakes.
"""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
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


def schema() -> dict[str, Any]:
    """The JSON schema of params.yaml, each key with what its class says of it."""
    whole = Params.model_json_schema()
    classes = {each.__name__: each for each in _sections(Section)}
    for name, definition in [("Params", whole), *whole["$defs"].items()]:
        documented = attribute_docs(classes[name]) if name in classes else {}
        for key, described in definition.get("properties", {}).items():
            described.pop("title", None)
            if key in documented:
                described["description"] = documented[key]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _sections(above: type[Section]) -> Iterable[type[Section]]:
    for each in above.__subclasses__():
        yield each
        yield from _sections(each)


def attribute_docs(documented: type[Section]) -> dict[str, str]:
    """What stands as a text below each attribute of a class and of those above it."""
    found: dict[str, str] = {}
    for each in reversed(documented.__mro__):
        if issubclass(each, Section):
            body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
            assert isinstance(body, ast.ClassDef)
            for statement, below in zip(body.body, body.body[1:], strict=False):
                if isinstance(statement, ast.AnnAssign) and (text := _text(below)):
                    found[ast.unparse(statement.target)] = " ".join(text.split())
    return found


def _text(statement: ast.stmt) -> str:
    """The text that is all of a statement; empty where it is another."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return str(statement.value.value) if is_text else ""


def params_page() -> str:
    """The page of all keys of params.yaml, in the order in which a file has them."""
    whole = schema()
    written = [PARAMS_HEAD.rstrip()]
    pending = [("", "", whole)]
    seen: set[tuple[str, str, str | None]] = set()
    while pending:
        place, variant, described = pending.pop(0)
        mark = place, variant, described.get("title")
        if "properties" not in described or mark in seen or (place, "", mark[2]) in seen:
            continue
        seen.add(mark)
        rows, below = [], []
        for key, value in described["properties"].items():
            inner = f"{place}.{key}".lstrip(".")
            needed = "" if key in described.get("required", []) else "no"
            about = [_about(value), value.get("description", "")]
            rows.append([f"`{key}`", needed, "; ".join(filter(None, about))])
            for where, found, inside in _below(inner, value, whole["$defs"]):
                others = {title for at, _, title in seen if at == where} - {inside.get("title")}
                below.append((where, found or variant * bool(others), inside))
        pending = below + pending
        title = f"## `{place}`{variant}" if place else "## The file"
        text = [title, described.get("description", "").split("\n\n")[0].replace("\n", " ")]
        head = ["key", "needed", "what it is"]
        written.append("\n\n".join([*filter(None, text), table(head, rows)]))
    return "\n\n".join(written) + "\n"


def _below(
    place: str, value: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """The sections that a key holds: one, one of several, or one for each name or item."""
    name = value.get("$ref", "").rpartition("/")[2]
    if name:
        yield place, "", known[name]
    chosen_by = value.get("discriminator", {})
    for word, ref in chosen_by.get("mapping", {}).items():
        yield place, f", `{chosen_by['propertyName']}: {word}`", known[ref.rpartition("/")[2]]
    if not chosen_by:
        for each in value.get("anyOf", ()):
            several = [other for other in value["anyOf"] if "$ref" in other]
            named = each.get("$ref", "").rpartition("/")[2]
            label = f", as {sentence_of(known[named])}" if named and len(several) > 1 else ""
            yield from ((at, label or found, d) for at, found, d in _below(place, each, known))
    if isinstance(value.get("items"), Mapping):
        yield from _below(f"{place}[]", value["items"], known)
    for inner in [value.get("additionalProperties"), *value.get("patternProperties", {}).values()]:
        if isinstance(inner, Mapping):
            yield from _below(f"{place}.<name>", inner, known)


def sentence_of(described: Mapping[str, Any]) -> str:
    """The first line of a section, as a name for it."""
    first: str = described["description"].split("\n")[0].rstrip(".")
    return first[0].lower() + first[1:]


def _about(value: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if "enum" in value or "const" in value:
        choices = value.get("enum", [value.get("const")])
        return "one of " + code(map(str, choices)) if len(choices) > 1 else f"`{choices[0]}`"
    if "anyOf" in value:
        words = (_about(each) for each in value["anyOf"] if each.get("type") != "null")
        return " or ".join(dict.fromkeys(filter(None, words)))
    if value.get("type") == "array":
        return f"a list: {_about(value.get('items', {})) or 'below'}"
    if "$ref" in value or "discriminator" in value or value.get("type") == "object":
        return "below"
    bounds = [f"{sign} {value[key]}" for key, sign in BOUNDS.items() if key in value]
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "yes-no"}
    return " ".join([words.get(value.get("type", ""), ""), *bounds]).strip()


def schema_text() -> str:
    """The schema as it is written."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PARAMS_PAGE.write_text(params_page(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    for path in PAGES:
        path.write_text(with_variants(path.read_text(encoding="utf-8")), encoding="utf-8")
