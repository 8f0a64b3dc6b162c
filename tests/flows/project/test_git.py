"""What is asked of git holds for the working directory, and a killed git is in nobody's way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from flows.project import git


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    succeed(["git", "init", "--quiet", "--initial-branch", "main"], folder)
    return folder


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock", "refs/heads/nightly/1.lock"])
def test_a_lock_that_a_killed_git_left_is_dropped(name: str, project: Path) -> None:
    lock = project / ".git" / name
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    assert [path.name for path in git.locks()] == [lock.name]
    git.drop_stale_locks()
    assert not git.locks()


def test_a_lock_stays_while_a_git_is_at_work_here(project: Path, tmp_path: Path) -> None:
    """A commit holds the index while its message is written, and has no file of it open."""
    lock = project / ".git" / "index.lock"
    lock.touch()
    fake = tmp_path / "git"
    fake.symlink_to("/bin/sleep")
    for folder, is_kept in ((project, True), (tmp_path, False)):
        lock.touch()
        with subprocess.Popen([fake, "60"], cwd=folder) as process:
            git.drop_stale_locks()
            process.kill()
        assert lock.exists() == is_kept


def test_what_git_sets_for_a_hook_is_forgotten(tmp_path: Path) -> None:
    succeed(["git", "init", "--quiet", "elsewhere"], tmp_path)
    code = "from flows.project.git import git, obey_no_hook; obey_no_hook()"
    code += "; print(git('rev-parse', '--show-toplevel'))"
    env = {**os.environ, "GIT_DIR": str(tmp_path / "elsewhere/.git"), "GIT_WORK_TREE": "/"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(Path.cwd())
