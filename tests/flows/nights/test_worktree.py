"""The nights' worktree: what it shares with the checkout, and how one that is spoilt is mended."""

import shutil
from pathlib import Path

import pytest
from dvc.config import Config

from fixtures.checkouts import succeed
from flows.nights import worktree
from flows.nights.worktree import FOLDER
from flows.project import git

BRANCH = "nightly/2026-11-24"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a checkout, on branch main, with a remote and a secret."""
    folder = tmp_path / "project"
    files = {
        ".dvc/config": "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n",
        ".dvc/config.local": "['remote \"far\"']\n    url = ssh://far/\n    password = a secret\n",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        "data/.gitignore": "*\n!.gitignore\n",
        "data/checkpoints/tiny/config.json": "{}",
        "params.yaml": "inits: {r0: {model: {checkpoint: data/checkpoints/tiny}}}\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["config", "user.email", "test@example.com"],
        ["config", "user.name", "Test"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "begin"],
    ):
        succeed(["git", *command], folder)
    monkeypatch.chdir(folder)
    return folder


def head() -> str:
    return git.git("rev-parse", "HEAD")


def commit(text: str) -> str:
    """A commit of the night, in its worktree."""
    (FOLDER / "params.yaml").write_text(text)
    return git.git("commit", "--all", "--quiet", "--message", text, folder=FOLDER)


def changes() -> list[str]:
    """What the night has not committed."""
    return [line[3:] for line in git.git("status", "--porcelain", folder=FOLDER).splitlines()]


def test_a_night_has_its_branch_and_the_checkout_keeps_its_own(project: Path) -> None:
    assert worktree.branch() == ""
    worktree.check_out(BRANCH, head())
    assert (worktree.branch(), git.branch()) == (BRANCH, "main")
    commit("seed: 1")
    assert git.read(BRANCH, Path("params.yaml")) == "seed: 1"
    assert (project / "params.yaml").read_text().startswith("inits")
    assert git.changes() == []
    with pytest.raises(git.GitError, match=r"already (checked out|used by worktree) at"):
        git.git("switch", BRANCH)
    worktree.release("nightly/2026-11-23")
    assert worktree.branch() == BRANCH
    worktree.release(BRANCH)
    assert worktree.branch() == ""
    git.git("switch", "--quiet", BRANCH)


def test_what_a_killed_night_left_stays_and_is_swept_into_no_other_night(project: Path) -> None:
    worktree.check_out(BRANCH, head())
    (FOLDER / "params.yaml").write_text("seed: 2")
    (FOLDER / "metrics.json").touch()
    worktree.check_out(BRANCH, head())
    assert changes() == ["params.yaml", "metrics.json"]
    worktree.check_out("nightly/2026-11-25", head())
    assert worktree.branch() == "nightly/2026-11-25"
    assert changes() == []
    assert (FOLDER / "params.yaml").read_text().startswith("inits")


def test_cache_remotes_and_secrets_are_the_checkouts(project: Path) -> None:
    worktree.check_out(BRANCH, head())
    settings = Config(dvc_dir=str(FOLDER / ".dvc"))
    assert settings["cache"]["dir"] == str(project / ".dvc/cache")
    assert settings["remote"]["store"]["url"] == str(project.parent / "store")
    assert settings["remote"]["far"]["password"] == "a secret"
    assert (FOLDER / ".dvc/config.local").stat().st_mode & 0o077 == 0
    succeed(["dvc", "config", "--local", "cache.dir", "../cache"], project)
    worktree.check_out(BRANCH, head())
    settings = Config(dvc_dir=str(FOLDER / ".dvc"))
    assert settings["cache"]["dir"] == str(project.parent / "cache")


def test_logs_locks_and_what_params_name_are_the_checkouts(project: Path) -> None:
    worktree.check_out(BRANCH, head())
    (FOLDER / "data/.scratch/logs/update.log").touch()
    (FOLDER / "data/.scratch/run.lock").touch()
    assert (project / "data/.scratch/logs/update.log").is_file()
    assert (project / "data/.scratch/run.lock").is_file()
    assert (FOLDER / "data/checkpoints/tiny/config.json").read_text() == "{}"
    assert changes() == []


SPOILT = {
    "gone": lambda: shutil.rmtree(FOLDER),
    "without its file .git": lambda: (FOLDER / ".git").unlink(),
    "led elsewhere": lambda: (FOLDER / ".git").write_text("gitdir: /nowhere\n"),
    "unknown to git": lambda: shutil.rmtree(".git/worktrees/knowhow-night"),
    "half made": lambda: Path(".git/worktrees/knowhow-night/locked").write_text("initializing"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_spoilt_one_is_made_anew_and_keeps_the_commits(spoilt: str, project: Path) -> None:
    worktree.check_out(BRANCH, head())
    commit("seed: 3")
    (FOLDER / "data/left.json").touch()
    SPOILT[spoilt]()
    worktree.check_out(BRANCH, head())
    assert worktree.branch() == BRANCH
    assert (FOLDER / "params.yaml").read_text() == "seed: 3"
    assert not (FOLDER / "data/left.json").exists()
    assert git.changes() == []
    assert list(git.worktrees().values()) == ["main", BRANCH]


def test_in_a_copy_of_the_checkout_nights_leave_the_first_one_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worktree.check_out(BRANCH, head())
    copied = Path(shutil.copytree(project, project.parent / "copied", symlinks=True))
    monkeypatch.chdir(copied)
    worktree.check_out(BRANCH, head())
    commit("seed: 4")
    assert git.read(BRANCH, Path("params.yaml")) == "seed: 4"
    monkeypatch.chdir(project)
    assert "seed" not in (git.read(BRANCH, Path("params.yaml")) or "")
    assert (FOLDER / "params.yaml").read_text().startswith("inits")


def test_a_spoilt_one_that_is_locked_is_named(project: Path) -> None:
    worktree.check_out(BRANCH, head())
    git.git("worktree", "lock", "--reason", "on a disk that is away", str(FOLDER))
    worktree.check_out(BRANCH, head())  # a whole one may be locked
    shutil.rmtree(FOLDER)
    with pytest.raises(worktree.Locked, match=r"locked \(on a disk that is away\); `git worktree"):
        worktree.check_out(BRANCH, head())
    assert worktree.branch() == BRANCH
    git.git("worktree", "unlock", str(FOLDER))
    worktree.check_out(BRANCH, head())
