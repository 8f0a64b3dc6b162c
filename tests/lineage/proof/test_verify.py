"""No false alarm wherever a policy is audited, and notes where something cannot be checked."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from typer.testing import CliRunner

from fixtures.checkouts import succeed
from lineage.cli import app
from lineage.proof.verify import Verification, verify
from lineage.record.audit import open_audit
from lineage.record.tree import open_tree
from lineage.telling.plain import plain
from lineage.telling.verifytext import text
from tests.lineage.chain import printed
from tests.lineage.forging import PART, cached, locked, part_md5, put

SCORES = "data/rounds/s1/scores.parquet"


def verified(
    repository: Path, revision: str | None = None, remotes: Mapping[str, str] | None = None
) -> Verification:
    """What is found of s1."""
    return verify(open_audit(repository, revision, remotes=remotes), "s1")


def bare_clone(tree: Path, folder: Path) -> Path:
    succeed(["git", "clone", "--quiet", "--bare", str(tree), "bare.git"], folder)
    return folder / "bare.git"


def test_the_working_tree(tree: Path) -> None:
    answer, graph = verified(tree), open_audit(tree, None).graph
    assert answer.findings == []
    assert answer.notes == [
        "no part in this policy: 3 steps of dvc.lock",
        f"remote local was not checked: {tree / '.dvc/remote'} is not there",
        "s1 has no signed statement",
    ]
    assert answer.checked.steps == len(graph.steps) - 3  # those that compare, summarize and report
    assert answer.checked.rows > 8000
    assert answer.commit == open_tree(tree).commit
    assert "all as it should be" in printed(text(answer), 200)


def test_its_json_is_what_it_was(tree: Path) -> None:
    answer = plain(verified(tree))
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == ["policy", "commit", "checked", "notes", "findings"]
    assert list(answer["checked"]) == ["steps", "sources", "files", "bytes", "rows"]


def test_policies_before_it_and_an_init(tree: Path) -> None:
    for policy in ("r0", "i1"):
        assert verify(open_audit(tree, None), policy).findings == []


def test_a_fresh_clone_with_the_cache_alone(tree: Path, tmp_path: Path) -> None:
    succeed(["git", "clone", "--quiet", str(tree), str(tmp_path / "clone")], tmp_path)
    shutil.copytree(tree / ".dvc/cache/files", tmp_path / "clone/.dvc/cache/files")
    answer = verified(tmp_path / "clone")
    assert answer.findings == []
    assert "working tree holds nothing of this policy" in answer.notes
    assert answer.checked.rows == verified(tree).checked.rows


def test_an_old_commit_whatever_came_after(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "later", symlinks=True)
    later = tmp_path / "later"
    with (later / "params.yaml").open("a") as params:
        params.write("extra: 1\n")
    (later / "stages/sft.py").write_text("another = 1\n")
    succeed(["git", "commit", "--quiet", "--all", "--message", "later"], later)
    assert verified(later).findings
    assert verified(later, "HEAD~1").findings == []


def test_words_about_params_are_no_finding(tree: Path, tmp_path: Path) -> None:
    """What lists the code reads params.yaml whole; what steps ran with is in it as before."""
    shutil.copytree(tree, tmp_path / "later", symlinks=True)
    with (tmp_path / "later/params.yaml").open("a") as params:
        params.write("# a comment\n")
    succeed(["git", "commit", "--quiet", "--all", "--message", "later"], tmp_path / "later")
    assert verified(tmp_path / "later").findings == []


def test_a_bare_clone_with_a_remote(tree: Path, tmp_path: Path) -> None:
    remotes = {"shelf": str(tree / ".dvc/cache")}
    answer = verified(bare_clone(tree, tmp_path), remotes=remotes)
    assert answer.findings == []
    assert answer.checked.rows == verified(tree).checked.rows


def test_bytes_that_are_nowhere_are_a_finding(tree: Path, tmp_path: Path) -> None:
    answer = verified(bare_clone(tree, tmp_path), remotes={"empty": str(tmp_path)})
    assert {finding.check for finding in answer.findings} == {"bytes"}
    assert "remote empty holds nothing of this policy" in answer.notes
    assert "more; --json has all" in printed(text(answer), 200)


def test_a_remote_out_of_reach_is_a_note(tree: Path, tmp_path: Path) -> None:
    answer = verified(tree, remotes={"gone": str(tmp_path / "gone")})
    assert answer.findings == []
    assert f"remote gone was not checked: {tmp_path / 'gone'} is not there" in answer.notes


def test_what_was_never_pulled_or_pushed_is_no_finding(tree: Path, tmp_path: Path) -> None:
    clone, remote = tmp_path / "clone", tmp_path / "remote"
    succeed(["git", "clone", "--quiet", str(tree), str(clone)], tmp_path)
    shutil.copytree(tree / ".dvc/cache/files", remote / "files")
    put(clone / SCORES / PART, (tree / SCORES / PART).read_bytes())
    put(cached(clone, part_md5(tree, SCORES)), (tree / SCORES / PART).read_bytes())
    assert verified(clone, remotes={"shelf": str(remote)}).findings == []
    md5 = locked(tree, "data/policies/s1")
    (remote / "files/md5" / md5[:2] / md5[2:]).unlink()
    answer = verified(tree, remotes={"shelf": str(remote)})
    assert answer.findings == []
    assert "remote shelf lacks 1 file, the first data/policies/s1 (list)" in answer.notes


def test_uncommitted_files_are_a_note(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "copy", symlinks=True)
    (tmp_path / "copy/README.md").write_text("mine\n")
    (tmp_path / "copy/LICENSE").unlink()
    answer = verified(tmp_path / "copy")
    assert answer.findings == []
    assert f"not as in commit {answer.commit[:12]}: LICENSE, README.md" in answer.notes


def test_the_command_ends_with_1_on_a_finding(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "copy", symlinks=True)
    command = ["verify", "s1", "--repo", str(tmp_path / "copy")]
    fine = CliRunner().invoke(app, [*command, "--json"])
    assert fine.exit_code == 0
    assert json.loads(fine.stdout)["findings"] == []
    put(tmp_path / "copy" / SCORES / PART, b"")
    bad = CliRunner().invoke(app, [*command, "--json"])
    assert bad.exit_code == 1
    finding = json.loads(bad.stdout)["findings"][0]
    assert (finding["check"], finding["subject"]) == ("working tree", f"{SCORES}/{PART}")
    (tmp_path / "copy/dvc.yaml").unlink()
    assert "dvc.yaml is missing" in CliRunner().invoke(app, command).stdout
