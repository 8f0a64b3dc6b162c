"""What a commit changes, definition by definition.

A definition is a function, a class or an assignment at the top of a file. It is what its tokens are
(comments and docstrings apart) and where the names it imports come from.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from stages.running.sources import code_digest

PROGRAM, REST = "if __name__", "other code"
"""Code that defines nothing: what runs as a command, and all else."""
CONTENT = "content"
"""Of a file that is no Python, all of it."""


Identity = tuple[object, ...]
"""What a definition is: digests of its tokens, and whence its names are imported."""


@dataclass
class Source:
    """A file of Python by its definitions."""

    definitions: dict[str, list[str]] = field(default_factory=dict)
    """Digests of the tokens by name; several where a name is assigned several times."""
    uses: dict[str, set[str]] = field(default_factory=dict)
    """The names that each definition mentions."""
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Module and name of what is imported, by the name it has here."""

    def identity(self, name: str, moved: frozenset[str]) -> Identity:
        """What a definition is, empty where there is none of that name.

        A name that moved is the same in whichever file it stands.
        """
        used = sorted(self.uses.get(name, set()) & self.imports.keys())
        origins = [(local, self.imports[local]) for local in used]
        outer = [(local, origin) for local, origin in origins if origin[1] not in moved]
        return (*self.definitions.get(name, ()), *outer)


@dataclass(frozen=True)
class Change:
    """A file before and after a commit; empty where it was not there."""

    path: str
    before: bytes
    after: bytes

    @cached_property
    def sources(self) -> tuple[Source, Source]:
        """Both as Python."""
        return read_source(self.before), read_source(self.after)


def changed_names(changes: Sequence[Change]) -> Iterator[tuple[str, str]]:
    """Path and definition, old and new, of all that a commit changes.

    What it moves as it is from one file to another is no change.
    """
    python = [change for change in changes if change.path.endswith(".py")]
    yield from ((change.path, CONTENT) for change in changes if change not in python)
    moved = frozenset(name for name, _ in _moves(python, frozenset()))
    stay = _moves(python, moved)
    for change in python:
        before, after = change.sources
        for name in sorted(before.definitions.keys() | after.definitions.keys()):
            then, now = before.identity(name, moved), after.identity(name, moved)
            is_moved = not (then and now) and (name, then or now) in stay
            if then != now and not is_moved:
                yield change.path, name


def _moves(changes: Sequence[Change], moved: frozenset[str]) -> set[tuple[str, Identity]]:
    """Definitions that one file loses and another gains as they are.

    Of names that are known to have moved it makes no difference whence they are imported.
    """
    lost: set[tuple[str, Identity]] = set()
    gained: set[tuple[str, Identity]] = set()
    for before, after in (change.sources for change in changes):
        gone = before.definitions.keys() - after.definitions.keys()
        new = after.definitions.keys() - before.definitions.keys()
        lost |= {(name, before.identity(name, moved)) for name in gone}
        gained |= {(name, after.identity(name, moved)) for name in new}
    return lost & gained


def read_source(content: bytes) -> Source:
    """The definitions of a file of Python."""
    source = Source()
    rows = content.decode().splitlines(keepends=True)
    for node in ast.parse(content).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # text
        imports = dict(_imports(node))
        source.imports |= imports
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        digest = code_digest("".join(rows[first - 1 : node.end_lineno]).encode())
        mentioned = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
        for name in [] if imports else _names(node):
            source.definitions.setdefault(name, []).append(digest)
            source.uses.setdefault(name, set()).update(mentioned)
    unused = source.imports.keys() - set().union(*source.uses.values())
    for name in unused:
        source.definitions[f"import {name}"], source.uses[f"import {name}"] = [], {name}
    return source


def _imports(node: ast.stmt) -> Iterator[tuple[str, tuple[str, str]]]:
    """What a statement imports at the top of a file, for type checkers alone too."""
    if isinstance(node, ast.If) and not _is_program(node):
        for inner in node.body:
            yield from _imports(inner)
    elif isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.asname or alias.name.split(".")[0], (alias.name, "")
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, (node.module or "", alias.name)


def _is_program(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _names(node: ast.stmt) -> list[str]:
    """The names a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        children = chain.from_iterable(map(ast.walk, targets))
        return [child.id for child in children if isinstance(child, ast.Name)] or [REST]
    return [PROGRAM if _is_program(node) else REST]
