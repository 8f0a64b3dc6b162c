"""List the code of every step: the files it is in, each with its digest.

Reads   the files under `stages`.
Writes  a listing for each step, `update.json` for `stages/update.py`: its files by path, each with
        its md5.
Method  What the step imports, lazily and through others too, with the packages on the way; and what
        is no Python that one of these modules names and has beside it: a template, a folder of
        expectations. A step depends on its listing and on no file of code: an edit runs the steps
        again that it reaches, and dvc.lock has one entry a step where it would have forty.

Example: python -m stages.code --listings data/code
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from stages.contracts.params.whole import load
from stages.running.errors import BadInput, command
from stages.running.publish import write_json

ROOT = Path(__file__).parent.parent
NO_STEPS = ("__init__", "code")
MAIN = "__main__.py"


def main(listings: Path, params_file: Path = Path("params.yaml")) -> None:
    """Check params.yaml, then write the listing of each step."""
    load(params_file)
    for step in steps():
        code = closure(step)
        found = sorted(code.union(*map(data_of, code)))
        write_json(
            listings / f"{step_name(step)}.json",
            {file.relative_to(ROOT).as_posix(): md5_of(file) for file in found},
        )


def steps() -> list[Path]:
    """The files that `python -m stages.<step>` runs, but for this one: a step's file, or the main
    one of its folder.
    """
    stages = ROOT / "stages"
    alone = [file for file in stages.glob("*.py") if file.stem not in NO_STEPS]
    return sorted([*alone, *stages.glob(f"*/{MAIN}")], key=step_name)


def step_name(file: Path) -> str:
    """The name of a step, by its file."""
    return file.parent.name if file.name == MAIN else file.stem


def closure(file: Path) -> set[Path]:
    """The file itself and every project file it imports, directly and through others; lazy imports
    included.
    """
    reached: set[Path] = set()
    pending = [file]
    while pending:
        current = pending.pop()
        if current in reached:
            continue
        reached.add(current)
        pending += filter(None, map(project_file, [*imported_modules(current), *packages(current)]))
    return reached


def imported_modules(file: Path) -> Iterator[str]:
    """Dotted names a file imports, `from a import b` giving both a and a.b; and all that it may."""
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from modules_to_choose_from(node)


def modules_to_choose_from(node: ast.AST) -> Iterator[str]:
    """All modules of a package, where one is imported by its name: `import_module(f"package.{…}")`."""
    match node:
        case ast.Call(
            func=ast.Name(id="import_module"),
            args=[ast.JoinedStr(values=[ast.Constant(value=str(start)), ast.FormattedValue()])],
        ) if start.endswith("."):
            folder = ROOT.joinpath(*start.split("."))
            names = sorted(file.stem for file in folder.glob("*.py"))
            yield from (f"{start}{name}" for name in names if name != "__init__")


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


def data_of(module: Path) -> set[Path]:
    """The files that are no Python, and those of folders that have none, which a module names and
    has beside it.
    """
    texts = {
        node.value
        for node in nodes(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = [
        path for path in module.parent.iterdir() if path.name in texts and path.suffix != ".py"
    ]
    found = {path for path in named if path.is_file()}
    for folder in (path for path in named if path.is_dir() and not any(path.rglob("*.py"))):
        found |= {path for path in folder.rglob("*") if path.is_file()}
    return found


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """The syntax tree of a file, flat.

    Raises:
        BadInput: it is not Python.
    """
    try:
        return tuple(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise BadInput(
            f"{file.relative_to(ROOT)} is not Python ({error}); mend it and run again"
        ) from None


def md5_of(file: Path) -> str:
    """As DVC names the file's bytes."""
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    command(main)
