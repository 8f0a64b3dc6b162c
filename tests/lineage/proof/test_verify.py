"""No false alarm wherever a policy is audited, and what is said where something cannot be checked."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fixtures.checkouts import succeed
from lineage.cli import app
from lineage.proof.gathering import gather
from lineage.proof.inspection import steps_of
from lineage.proof.verify import text, verify
from lineage.proof.wiring import differences
from lineage.record.audit import open_audit
from lineage.record.lock import read_lock
from lineage.record.template import asked_steps
from lineage.record.tree import open_tree
from tests.lineage.forging import PART, cached, locked, part_md5, put, slim

SCORES = "data/rounds/s1/scores.parquet"


@pytest.fixture(scope="module")
def tree(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree as DVC leaves it. Tests must leave it as it is."""
    return slim(audited, tmp_path_factory.mktemp("verify") / "tree")


def ask(repository: Path, revision: str | None = None, **where: Any) -> dict[str, Any]:
    """What is found of s1."""
    return verify(open_audit(repository, revision, **where), "s1")


def printed(found: dict[str, Any]) -> str:
    """As people see it."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(text(found))
    return capture.get()


def test_the_working_tree(tree: Path) -> None:
    found = ask(tree)
    assert found.findings == []
    assert found.notes == [
        "no part in this policy: 2 steps of dvc.lock",
        f"remote local was not checked: {tree / '.dvc/remote'} is not there",
        "s1 has no signed statement",
    ]
    assert found.checked["steps"] == 20
    assert found.checked["rows"] > 8000
    assert found.commit == open_tree(tree).commit
    assert "all as it should be" in printed(found)


def test_policies_before_it_and_an_init(tree: Path) -> None:
    for policy in ("r0", "i1"):
        assert verify(open_audit(tree, None), policy)["findings"] == []


def test_a_fresh_clone_with_the_cache_alone(tree: Path, tmp_path: Path) -> None:
    succeed(["git", "clone", "--quiet", str(tree), str(tmp_path / "clone")], tmp_path)
    shutil.copytree(tree / ".dvc/cache/files", tmp_path / "clone/.dvc/cache/files")
    found = ask(tmp_path / "clone")
    assert found.findings == []
    assert "working tree holds nothing of this policy" in found.notes
    assert found.checked["rows"] == ask(tree)["checked"]["rows"]


def test_an_old_commit_whatever_came_after(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "later", symlinks=True)
    later = tmp_path / "later"
    with (later / "params.yaml").open("a") as params:
        params.write("extra: 1\n")
    (later / "stages/update.py").write_text("# another\n")
    succeed(["git", "commit", "--quiet", "--all", "--message", "later"], later)
    assert ask(later)["findings"]
    assert ask(later, "HEAD~1")["findings"] == []


def test_a_bare_clone_with_a_remote(tree: Path, tmp_path: Path) -> None:
    succeed(["git", "clone", "--quiet", "--bare", str(tree), str(tmp_path / "bare.git")], tmp_path)
    found = ask(tmp_path / "bare.git", remotes={"shelf": str(tree / ".dvc/cache")})
    assert found.findings == []
    assert found.checked["rows"] == ask(tree)["checked"]["rows"]


def test_bytes_that_are_nowhere_are_a_finding(tree: Path, tmp_path: Path) -> None:
    succeed(["git", "clone", "--quiet", "--bare", str(tree), str(tmp_path / "bare.git")], tmp_path)
    found = ask(tmp_path / "bare.git", remotes={"empty": str(tmp_path)})
    assert {finding["check"] for finding in found.findings} == {"bytes"}
    assert "remote empty holds nothing of this policy" in found.notes
    assert "more; --json has all" in printed(found)


def test_a_remote_out_of_reach_is_said(tree: Path, tmp_path: Path) -> None:
    found = ask(tree, remotes={"gone": str(tmp_path / "gone")})
    assert found.findings == []
    assert f"remote gone was not checked: {tmp_path / 'gone'} is not there" in found.notes


def test_what_was_never_pulled_or_pushed_is_no_finding(tree: Path, tmp_path: Path) -> None:
    clone, remote = tmp_path / "clone", tmp_path / "remote"
    succeed(["git", "clone", "--quiet", str(tree), str(clone)], tmp_path)
    shutil.copytree(tree / ".dvc/cache/files", remote / "files")
    put(clone / SCORES / PART, (tree / SCORES / PART).read_bytes())
    put(cached(clone, part_md5(tree, SCORES)), (tree / SCORES / PART).read_bytes())
    assert ask(clone, remotes={"shelf": str(remote)})["findings"] == []
    policy = (
        remote
        / "files/md5"
        / locked(tree, "data/policies/s1")[:2]
        / locked(tree, "data/policies/s1")[2:]
    )
    policy.unlink()
    found = ask(tree, remotes={"shelf": str(remote)})
    assert found.findings == []
    assert "remote shelf lacks 1 file, the first data/policies/s1 (list)" in found.notes


def test_uncommitted_files_are_said(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "copy", symlinks=True)
    (tmp_path / "copy/README.md").write_text("mine\n")
    (tmp_path / "copy/LICENSE").unlink()
    found = ask(tmp_path / "copy")
    assert found.findings == []
    assert f"not as in commit {found['commit'][:12]}: LICENSE, README.md" in found.notes


def test_hard_links_are_read_once(tree: Path) -> None:
    audit = open_audit(tree, None)
    evidence = gather(audit, steps_of(audit, "s1"))
    distinct = {part.md5 for part in evidence.parts.values()}
    assert evidence.num_files == len(distinct)


def test_templates_are_filled_in_as_dvc_does(tree: Path) -> None:
    asked, ran = asked_steps(open_tree(tree)), read_lock(open_tree(tree))
    assert asked.keys() == ran.keys()
    for name, step in ran.items():
        assert step.command.split() == asked[name].command.split()
        assert {dep.path for dep in step.deps} == asked[name].deps
        assert {*step.params} == asked[name].params


def test_params_differ_by_their_keys() -> None:
    then, now = {"a": 1, "b": {"c": None, "d": [1, 2]}}, {"a": 1.0, "b": {"d": [1, 3], "e": 1}}
    assert [*differences("x", then, now)] == [
        ("x.b.c", None, "nothing"),
        ("x.b.d", [1, 2], [1, 3]),
        ("x.b.e", "nothing", 1),
    ]


def test_the_command_ends_with_what_it_found(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "copy", symlinks=True)
    asked = ["verify", "s1", "--json", "--repo", str(tmp_path / "copy")]
    fine = CliRunner().invoke(app, asked)
    assert fine.exit_code == 0
    assert json.loads(fine.stdout)["findings"] == []
    put(tmp_path / "copy" / SCORES / PART, b"")
    bad = CliRunner().invoke(app, asked)
    assert bad.exit_code == 1
    assert {key: json.loads(bad.stdout)["findings"][0][key] for key in ("check", "subject")} == {
        "check": "working tree",
        "subject": f"{SCORES}/{PART}",
    }
    (tmp_path / "copy/dvc.yaml").unlink()
    assert "dvc.yaml is missing" in CliRunner().invoke(app, asked[:2] + asked[3:]).stdout
