"""Which project files a Python file imports, directly and through others; lazily imported ones included."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent


def imported_modules(file: Path) -> Iterator[str]:
    """Dotted names a file imports, `from a import b` giving both a and a.b."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(file: Path) -> list[str]:
    """Dotted names of the packages a project file lies in: importing it runs their __init__.py."""
    parts = file.relative_to(ROOT).parent.parts
    return [".".join(parts[: depth + 1]) for depth in range(len(parts))]


def project_file(module: str) -> Path | None:
    """The file of a project module that has any content, else None."""
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and candidate.stat().st_size:
            return candidate
    return None


def closure(file: Path) -> set[Path]:
    """The file itself and every project file it reaches."""
    reached: set[Path] = set()
    pending = [file]
    while pending:
        current = pending.pop()
        if current in reached:
            continue
        reached.add(current)
        pending += filter(None, map(project_file, [*imported_modules(current), *packages(current)]))
    return reached
