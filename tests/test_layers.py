"""Who may import whom, and how long a module or a function may get: the house plan, held.

Lazy imports count like any other: the arrows are the same whenever they are followed.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.code import MAIN, ROOT, closure, imported_modules, project_file, step_name, steps

PACKAGES = ("stages", "flows", "lineage", "reading", "experiments", "benchmarks", "fixtures")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
NAMES = [str(file.relative_to(ROOT)) for file in FILES]
WITH_ROOMS = ("stages", "flows", "lineage")
STEP_FILES = {step_name(file): file for file in steps()} | {"code": ROOT / "stages/code.py"}
STEPS = set(STEP_FILES)
SHARED = {
    "stages/running": set(),
    "stages/pure": set(),
    "stages/contracts": {"stages/running"},
    "stages/figures": {"stages/contracts"},
    "stages/tasks": {"stages/contracts", "stages/running"},
    "stages/verifiers": {"stages/contracts", "stages/running", "stages/tasks"},
    "stages/engines": {"stages/contracts", "stages/running", "stages/pure"},
}
"""Folders that several steps share, and the others each may import from."""
LINEAGE = {
    "lineage/record": set(),
    "lineage/data": {"lineage/record"},
    "lineage/answers": {"lineage/record", "lineage/data"},
    "lineage/proof": {"lineage/record", "lineage/data"},
    "lineage/telling": {"lineage/record", "lineage/data", "lineage/answers", "lineage/proof"},
}
"""The rooms of the audit, and the others each may import from: the answers to its questions stand
below the words they are given in.
"""
STEP_ROOMS = {f"stages/{name}" for name, file in STEP_FILES.items() if file.name == MAIN}
MAY_IMPORT = {
    **{room: {room, *others} for room, others in SHARED.items()},
    **{room: {room, *SHARED} for room in STEP_ROOMS},
    "stages": {*SHARED},
    "flows": {
        "flows/commands",
        "flows/nights",
        "flows/running",
        "flows/project",
        "lineage",
        *LINEAGE,
    },
    "flows/commands": {
        *("flows/commands", "flows/nights", "flows/running", "flows/project"),
        "reading",
    },
    "flows/nights": {"flows/nights", "flows/running", "flows/project"},
    "flows/running": {"flows/running", "flows/project"},
    "flows/project": {"flows/project"},
    **{room: {room, *others} for room, others in LINEAGE.items()},
    "lineage": {"lineage", *LINEAGE},
    "reading": {"reading", "flows/project", "flows/running"},
    "experiments": {
        *("experiments", "stages/contracts", "stages/engines", "stages/figures", "stages/pure"),
        "stages/running",
    },
    "fixtures": {"fixtures", "stages/contracts", "stages/engines"},
    "benchmarks": {"benchmarks", "fixtures", "reading", "stages", *SHARED, *STEP_ROOMS},
}
PURE_MAY_IMPORT = {*sys.stdlib_module_names, "numpy", "scipy", "torch", "jaxtyping", "stages"}
STORAGE = {"stages/contracts/storage/reading.py", "stages/contracts/storage/writing.py"}
BARE = {
    "vllm": {"benchmarks/rollout_speed.py"},
    "pyarrow.parquet": {"benchmarks/audit_tree.py"},
    "backward": {"benchmarks/trl/parity_sides.py"},
}
"""Benchmarks that measure ours beside the bare engine, or write what a foreign program would."""
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_MODULES = 300, 50, 16

each_file = pytest.mark.parametrize("file", FILES, ids=NAMES)


def layer(file: Path) -> str:
    """The part of the house a file stands in: its package, or its folder inside one with rooms."""
    folders = file.relative_to(ROOT).parts[:-1]
    return "/".join(folders[:2] if folders[0] in WITH_ROOMS else folders[:1])


def direct(file: Path) -> set[Path]:
    """Project files a file imports itself."""
    return {
        target
        for module in imported_modules(file)
        if (target := project_file(module)) and target != file
    }


def importers(package: str) -> set[str]:
    """Names of the files that import a package from outside the project."""
    wanted = {package, f"{package}."}
    files = ((name, file) for name, file in zip(NAMES, FILES, strict=True))
    return {
        name
        for name, file in files
        if any(m in wanted or m.startswith(f"{package}.") for m in imported_modules(file))
    }


def circles(edges: dict[Path, set[Path]]) -> Iterator[list[Path]]:
    """Ways from a file back to itself."""
    for start in edges:
        pending, seen = [[start]], set()
        while pending:
            way = pending.pop()
            for target in edges.get(way[-1], set()):
                if target == start:
                    yield [*way, start]
                elif target not in seen:
                    seen.add(target)
                    pending.append([*way, target])


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file and the lines from its `def` to its end."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{file.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def test_there_is_a_house() -> None:
    assert {layer(file) for file in FILES} >= set(MAY_IMPORT)
    assert {layer(file) for file in FILES} <= set(MAY_IMPORT)
    assert {
        "prepare",
        "sft",
        "rollout",
        "score",
        "probe",
        "infogain",
        "validate",
        "update",
    } <= STEPS


@each_file
def test_arrows_point_down(file: Path) -> None:
    """The package itself lies below all of `stages`: Python runs it before any module in it."""
    targets = direct(file) - {ROOT / "stages/__init__.py"}
    upward = {
        str(target.relative_to(ROOT))
        for target in targets
        if layer(target) not in MAY_IMPORT[layer(file)]
    }
    assert not upward, f"{layer(file)} may import from {sorted(MAY_IMPORT[layer(file)])}"


@each_file
def test_imports_are_absolute(file: Path) -> None:
    """Relative ones would pass by the other tests unseen."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    assert not [node.lineno for node in nodes if isinstance(node, ast.ImportFrom) and node.level]


def test_flows_lineage_and_reading_reach_no_stage() -> None:
    """Through others neither: a flow starts stages by name, and an audit needs nothing of them."""
    rooms = ("flows", "lineage", "reading")
    outside = [file for file in FILES if layer(file).split("/")[0] in rooms]
    assert outside
    for file in outside:
        assert not {
            str(reached) for reached in closure(file) if layer(reached).startswith("stages")
        }, file


def test_a_step_imports_no_other_step() -> None:
    """An edge between steps is a file on disk, and dvc.yaml has it. A step's folder is its own."""
    for name, step in STEP_FILES.items():
        rooms = {layer(file) for file in closure(step)} & STEP_ROOMS
        assert rooms <= {f"stages/{name}"}, name
        assert closure(step) & {*STEP_FILES.values()} == {step}


def test_the_whole_of_params_is_for_the_check_and_the_report_alone() -> None:
    """Every other step reads its own sections: an edit of one section's model leaves it alone."""
    whole = ROOT / "stages/contracts/params/whole.py"
    assert {name for name, step in STEP_FILES.items() if whole in closure(step)} == {
        "code",
        "report",
    }


def test_all_tables_are_for_what_shows_any_of_them() -> None:
    every = ROOT / "stages/contracts/tables/all.py"
    assert not [name for name, step in STEP_FILES.items() if every in closure(step)]


@pytest.mark.parametrize(
    "file", [f for f in FILES if layer(f) == "stages/pure"], ids=lambda file: file.stem
)
def test_pure_is_arrays_only(file: Path) -> None:
    assert {module.split(".")[0] for module in imported_modules(file)} <= PURE_MAY_IMPORT


def test_engines_know_no_task() -> None:
    for file in FILES:
        if layer(file) == "stages/engines":
            assert not {
                reached.name
                for reached in closure(file)
                if layer(reached) in ("stages/tasks", "stages/verifiers")
            }


@pytest.mark.parametrize(
    ("package", "only"),
    [
        ("vllm", {"stages/engines/samplers/vllm.py", *BARE["vllm"]}),
        ("ray", {"stages/engines/pools/ray.py"}),
        ("torch.optim", set()),
        ("prefect", {name for name in NAMES if name.startswith("flows/")}),
        ("dvc", {name for name in NAMES if name.startswith("flows/")}),
        ("great_expectations", {"stages/validate/suites.py"}),
        ("pyarrow.parquet", {*STORAGE, "lineage/data/tables.py", *BARE["pyarrow.parquet"]}),
    ],
)
def test_one_door_to_each_engine(package: str, only: set[str]) -> None:
    assert importers(package) <= only


def test_the_doors_are_in_use() -> None:
    assert importers("vllm")
    assert importers("prefect")
    doors = {*STORAGE, "lineage/data/tables.py", *BARE["pyarrow.parquet"]}
    assert importers("pyarrow.parquet") == doors


def test_one_owner_of_an_optimizer() -> None:
    """Only the trainer names `torch.optim`, calls `.backward()` or steps an optimizer.

    Where a gradient is compared with TRL's there is no optimizer.
    """
    owners = set()
    for name, file in zip(NAMES, FILES, strict=True):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("optim", "backward", "zero_grad"):
                owners.add(name)
    assert owners == {"stages/engines/training/trainer.py", *BARE["backward"]}


def test_no_circles() -> None:
    edges = {file: direct(file) for file in FILES}
    circle = next(circles(edges), None)
    assert circle is None, " -> ".join(str(file.relative_to(ROOT)) for file in circle or [])


def test_circles_are_found() -> None:
    a, b, c = (Path(name) for name in "abc")
    assert next(circles({a: {b}, b: {c}, c: {b}})) == [b, c, b]
    assert not list(circles({a: {b, c}, b: {c}, c: set()}))


@each_file
def test_a_module_fits_in_the_head(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


def test_functions_are_short() -> None:
    sizes = {name: lines for file in FILES for name, lines in functions(file)}
    assert not {name: lines for name, lines in sizes.items() if lines > MAX_FUNCTION_LINES}


def test_folders_are_small() -> None:
    modules = Counter(file.parent for file in FILES if file.name != "__init__.py")
    crowded = {str(folder): size for folder, size in modules.items() if size > MAX_MODULES}
    assert not crowded


def test_a_packages_content_counts_as_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.code.ROOT", tmp_path)
    for name, text in {
        "top/__init__.py": "import other\n",
        "top/inner/__init__.py": "",
        "top/inner/leaf.py": "a = 1\n",
        "other.py": "b = 1\n",
        "main.py": "from top.inner.leaf import a\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    reached = {str(file.relative_to(tmp_path)) for file in closure(tmp_path / "main.py")}
    assert reached == {"main.py", "top/__init__.py", "top/inner/leaf.py", "other.py"}
