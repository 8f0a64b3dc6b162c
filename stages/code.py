"""List the code of every step: the files it is in, each with its digest.

Reads   the files under `stages`.
Writes  a listing for each step, `update.json` for `stages/update.py`: its files by path, each with
        its digest: of Python by its tokens, of all else by its bytes.
Method  What the step imports, lazily and through others too, with the packages on the way; and what
        is no Python that one of these modules names and has beside it: a template, a folder of
        expectations. A step depends on its listing and on no file of code: an edit runs the steps
        again that it reaches, and dvc.lock has one entry a step where it would have forty. What is
        written about code (comments, docstrings) is no part of it, and re-runs nothing.

Example: python -m stages.code --listings data/code
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from stages.contracts.params.whole import load
from stages.running.errors import BadInput, command
from stages.running.publish import write_json
from stages.running.sources import code_digest, keep, md5_of

ROOT = Path(__file__).parent.parent
NO_STEPS = ("__init__", "ask", "check", "code", "survey")
MAIN = "__main__.py"
BYTECODE = "__pycache__"


def main(listings: Path, params_file: Path = Path("params.yaml")) -> None:
    """Check params.yaml, then write the listing of each step."""
    load(params_file)
    known: dict[str, str] = {}
    for step in steps():
        files = files_of(step)
        digests = {file.relative_to(ROOT).as_posix(): digest(file) for file in files}
        write_json(listings / f"{step_name(step)}.json", digests)
        known |= {md5_of(file.read_bytes()): digest(file) for file in files if file.suffix == ".py"}
    keep(known)


def steps() -> list[Path]:
    """The files that `python -m stages.<step>` runs: `<step>.py`, or `__main__.py` in a folder."""
    stages = ROOT / "stages"
    alone = [file for file in stages.glob("*.py") if file.stem not in NO_STEPS]
    return sorted([*alone, *stages.glob(f"*/{MAIN}")], key=step_name)


def step_name(file: Path) -> str:
    """The name of a step, by its file."""
    return file.parent.name if file.name == MAIN else file.stem


def files_of(step: Path) -> set[Path]:
    """The files a step's code is in, with the data that its modules name."""
    code = closure(step)
    return code.union(*map(data_of, code))


def closure(file: Path) -> set[Path]:
    """The file itself and every project file it imports, lazily and through others too."""
    reached: set[Path] = set()
    pending = [file]
    while pending:
        current = pending.pop()
        if current in reached:
            continue
        reached.add(current)
        pending += imported_files(current)
    return reached


@cache
def imported_files(file: Path) -> tuple[Path, ...]:
    """The project files that importing a file runs: its imports' and its own packages'."""
    modules = dict.fromkeys([*imported_modules(file), *packages(file)])
    return tuple(filter(None, map(project_file, modules)))


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
    """All modules of a package of which one is imported: `import_module(f"package.{…}")`."""
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
    names = file.relative_to(ROOT).parent.parts
    return [".".join(names[: depth + 1]) for depth in range(len(names))]


def project_file(module: str) -> Path | None:
    """The file of a project module that has any code, else None."""
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and digest(candidate) != NO_CODE:
            return candidate
    return None


@cache
def data_of(module: Path) -> frozenset[Path]:
    """What is no Python, file or folder, that a module names and has beside it: its files."""
    texts = {
        node.value
        for node in nodes(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    named = [
        path
        for path in module.parent.iterdir()
        if path.name in texts and path.suffix != ".py" and path.name != BYTECODE
    ]
    data_files = {path for path in named if path.is_file()}
    for folder in (path for path in named if path.is_dir() and not any(path.rglob("*.py"))):
        data_files |= {path for path in folder.rglob("*") if path.is_file()}
    return frozenset(data_files)


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """The syntax tree of a file, flat.

    Raises:
        BadInput: it is not Python.
    """
    try:
        return tuple(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError) as error:
        raise BadInput(
            f"{file.relative_to(ROOT)} is not Python ({error}); mend it and run again"
        ) from None


@cache
def digest(file: Path) -> str:
    """What a listing says of a file; `lineage` computes the same of what stands in git."""
    if file.suffix != ".py":
        return md5_of(file.read_bytes())
    nodes(file)  # refuses what is no Python
    return code_digest(file.read_bytes())


NO_CODE = code_digest(b"")


if __name__ == "__main__":
    command(main, writes=("listings",), reads=(ROOT / "stages",))
