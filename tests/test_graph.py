"""dvc.yaml against the code: dependencies are import closures, and each edit re-runs what CONTRIBUTING says."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, succeed
from tests.imports import closure

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: entry.get("do", entry) for name, entry in GRAPH.items()}


def edits() -> list[tuple[str, str, set[str]]]:
    """Rows of CONTRIBUTING's table: what is edited, as `file: old -> new`, and the stages named in bold."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", text, flags=re.MULTILINE)
    return [(title, edit, set(re.findall(r"`([a-z]+)`", stages))) for title, edit, stages in rows]


@pytest.mark.parametrize("stage", STAGES)
def test_dependencies_contain_the_import_closure(stage: str) -> None:
    file = ROOT / re.search(r"-m (stages\.\w+)", STAGES[stage]["cmd"])[1].replace(".", "/")
    needed = {str(path.relative_to(ROOT)) for path in closure(file.with_suffix(".py"))}
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith("stages/")}
    assert needed <= listed, f"add to {stage}: {sorted(needed - listed)}"
    extra = {dep for dep in listed - needed if dep.endswith(".py")}
    assert not extra, f"drop from {stage}: {sorted(extra)}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_a_dependency_or_an_output(stage: str) -> None:
    entry = STAGES[stage]
    uncached = [next(iter(out)) for out in [*entry.get("metrics", []), *entry.get("plots", [])]]
    declared = [*entry["deps"], *entry.get("outs", []), *uncached]
    paths = [word for word in entry["cmd"].split() if word.startswith("data/") and not word.startswith("data/docs")]
    assert all(any(d == path or d.startswith(f"{path}/") for d in declared) for path in paths), (paths, declared)


def test_validate_depends_on_every_suite() -> None:
    suites = {str(path.relative_to(ROOT)) for path in (ROOT / "stages/contracts/expectations").glob("*.json")}
    assert suites
    assert suites <= set(STAGES["validate"]["deps"])


def test_update_depends_on_the_gate() -> None:
    assert any(dep.endswith("/validation.json") for dep in STAGES["update"]["deps"])


def test_the_table_of_edits_is_there() -> None:
    assert len(edits()) >= 10


@pytest.fixture(scope="module")
def edited(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edits") / "clone"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


@pytest.mark.parametrize(("title", "edit", "expected"), edits(), ids=[title for title, _, _ in edits()])
def test_an_edit_changes_the_stages_that_contributing_names(
    title: str, edit: str, expected: set[str], edited: Path
) -> None:
    name, change = edit.replace("\\n", "\n").split(": ", 1)
    old, new = change.split(" -> ") if " -> " in change else ("", change)
    file = edited / name
    before = file.read_text()
    assert old in before, f"{name} has no {old!r}"
    file.write_text(before.replace(old, new, 1) if old else f"{before}{new}\n")
    try:
        changed = json.loads(succeed(["dvc", "status", "--json"], edited).splitlines()[-1])
    finally:
        file.write_text(before)
    assert {stage.split("@")[0] for stage in changed} == expected, f"{title}: {sorted(changed)}"
