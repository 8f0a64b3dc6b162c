"""dvc.yaml against the code: each stage has its listing of code, and each edit re-runs what
CONTRIBUTING says.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from fixtures.checkouts import ROOT, run, succeed
from stages import code

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = {name: entry.get("do", entry) for name, entry in GRAPH.items()}
STEPS = [name for name in STAGES if name != "code"]
LISTINGS = Path("data/code")


def edits() -> list[tuple[str, str, set[str]]]:
    """Rows of CONTRIBUTING's table: what is edited, as `file: old -> new`, and the stages named in
    bold.
    """
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", text, flags=re.MULTILINE)
    return [(title, edit, set(re.findall(r"`([a-z]+)`", stages))) for title, edit, stages in rows]


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("listings")
    code.main(folder)
    return {file.stem: json.loads(file.read_text()) for file in folder.iterdir()}


@pytest.mark.parametrize("stage", STEPS)
def test_a_stage_depends_on_the_listing_of_its_step_and_on_no_other_code(stage: str) -> None:
    step = re.search(r"-m stages\.(\w+)", STAGES[stage]["cmd"])[1]
    of_code = [
        dep
        for dep in STAGES[stage]["deps"]
        if dep.startswith("stages") or dep.startswith(f"{LISTINGS}")
    ]
    assert of_code == [f"{LISTINGS}/{step}.json"]


def test_every_step_is_listed_and_all_code_is_looked_at(
    listings: dict[str, dict[str, str]],
) -> None:
    assert {next(iter(out)) for out in STAGES["code"]["outs"]} == {
        f"{LISTINGS}/{name}.json" for name in listings
    }
    assert listings.keys() == {*STEPS}
    assert STAGES["code"]["deps"] == ["stages"]


@pytest.mark.parametrize("stage", STEPS)
def test_a_listing_has_what_the_step_imports_with_its_digests(
    stage: str, listings: dict[str, dict[str, str]]
) -> None:
    listed = listings[stage]
    assert f"stages/{stage}.py" in listed
    assert {
        str(path.relative_to(ROOT)) for path in code.closure(ROOT / f"stages/{stage}.py")
    } <= listed.keys()
    assert all(
        path.startswith("stages/") and code.md5_of(ROOT / path) == md5
        for path, md5 in listed.items()
    )


def test_what_is_no_python_is_in_the_listing_of_who_names_it(
    listings: dict[str, dict[str, str]],
) -> None:
    files = [
        path
        for path in (ROOT / "stages").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    names = [str(path.relative_to(ROOT)) for path in files]
    found = {
        name: [stage for stage, listed in listings.items() if name in listed] for name in names
    }
    assert found.pop("stages/contracts/report/report.html.j2") == ["report"]
    assert found
    assert all(stages == ["validate"] for stages in found.values()), found  # the suites


def test_code_that_is_not_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/update.py").write_text("def :\n")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    with pytest.raises(code.BadInput, match=r"stages/update\.py is not Python .*line 1"):
        code.main(tmp_path / "listings")


@pytest.mark.parametrize("stage", STAGES)
def test_every_path_of_a_command_is_a_dependency_or_an_output(stage: str) -> None:
    entry = STAGES[stage]
    written = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
    declared = [
        *entry["deps"],
        *(next(iter(out)) if isinstance(out, dict) else out for out in written),
    ]
    paths = [
        word
        for word in entry["cmd"].split()
        if word.startswith("data/") and not word.startswith("data/docs")
    ]
    assert all(any(d == path or d.startswith(f"{path}/") for d in declared) for path in paths), (
        paths,
        declared,
    )


def test_update_depends_on_the_gate() -> None:
    assert any(dep.endswith("/validation.json") for dep in STAGES["update"]["deps"])


def test_the_table_of_edits_is_there() -> None:
    assert len(edits()) >= 10


@pytest.fixture(scope="module")
def edited(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edits") / "clone"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


@pytest.mark.parametrize(
    ("title", "edit", "expected"), edits(), ids=[title for title, _, _ in edits()]
)
def test_an_edit_changes_the_stages_that_contributing_names(
    title: str, edit: str, expected: set[str], edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(edited)
    name, change = edit.replace("\\n", "\n").split(": ", 1)
    with changed_file(edited, name, change), Repo() as repo:
        changed = repo.status()
    assert ("code" in changed) == name.startswith("stages/")
    assert {stage.split("@")[0] for stage in changed} - {"code"} == expected, (
        f"{title}: {sorted(changed)}"
    )


@contextmanager
def changed_file(tree: Path, name: str, change: str, has_listings: bool = True) -> Iterator[None]:
    """A file of a tree as edited, and where it is code the listings made anew, while the block
    runs.
    """
    old, new = change.split(" -> ") if " -> " in change else ("", change)
    file = tree / name
    before = file.read_text()
    assert old in before, f"{name} has no {old!r}"
    file.write_text(before.replace(old, new, 1) if old else f"{before}{new}\n")
    kept = {listing: listing.read_bytes() for listing in (tree / LISTINGS).iterdir()}
    try:
        if has_listings and name.startswith("stages/"):
            succeed([sys.executable, "-m", "stages.code", "--listings", str(LISTINGS)], tree)
        yield
    finally:
        file.write_text(before)
        for listing, content in kept.items():
            listing.write_bytes(content)


def test_a_plan_knows_beforehand_which_listings_an_edit_of_code_changes(edited: Path) -> None:
    with changed_file(edited, "stages/pure/information.py", "# edited", has_listings=False):
        stale = stale_stages(edited)
    assert stale.pop("code") == ["stages modified"]
    assert {name for name, reasons in stale.items() if "after code" in reasons} == {
        "infogain@i1",
        "infogain@s1",
    }
    assert not {"prepare", "sft@r0", "rollout@i1", "score@i1", "probe@i1"} & stale.keys()


def test_a_plan_of_code_that_cannot_be_read_has_all_stages(edited: Path) -> None:
    with changed_file(edited, "stages/report.py", "def :", has_listings=False):
        assert all(
            "after code" in reasons
            for name, reasons in stale_stages(edited).items()
            if name != "code"
        )


def stale_stages(tree: Path) -> dict[str, list[str]]:
    """What a plan would run, and why."""
    done = run([sys.executable, "-m", "flows.cli", "plan", "--json"], tree)
    assert done.returncode == 0, done.stderr
    return {node["name"]: node["reasons"] for node in json.loads(done.stdout) if node["reasons"]}
