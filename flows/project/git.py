"""The few things that flows ask of git."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

STEERING = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE"),
    *("GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS"),
)
"""What git sets for its hooks, and what turns a command to another repository than its folder's."""


class GitError(Exception):
    """Git refused; says what and why."""


def obey_no_hook() -> None:
    """Forget what git sets for its hooks: the repository is that of the working directory."""
    for name in STEERING:
        os.environ.pop(name, None)


def git(*arguments: str, folder: Path = Path()) -> str:
    """Run a git command in a folder; what it printed, without the last line's end.

    Raises:
        GitError: it failed.
    """
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        why = " ".join((done.stderr or done.stdout).split())
        raise GitError(f"git {arguments[0]} failed: {why}")
    return done.stdout.rstrip("\n")


def commit_of(folder: Path) -> str:
    """The commit that a folder's code is of, marked where files were edited since."""
    try:
        return git("-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12")
    except GitError:
        return "no commit known: not installed from a clone"


def branch() -> str:
    """The branch that is checked out; empty where none is."""
    return git("branch", "--show-current")


def locks() -> list[Path]:
    """What git keeps others out by while it writes: of the index, of HEAD, of branches and tags."""
    common = Path(git("rev-parse", "--git-common-dir"))
    folders = [common, *common.glob("worktrees/*")]
    found = {lock for folder in folders for lock in folder.glob("*.lock")}
    found |= {lock for folder in folders for lock in folder.glob("refs/**/*.lock")}
    return sorted(found)


def at_work() -> "Iterator[psutil.Process]":
    """The git processes that may hold a lock of this repository.

    One whose folder is not to be seen, another user's, may be in it.
    """
    import psutil

    tops = worktrees()
    for process in psutil.process_iter(["name", "cwd", "status"]):
        name, folder = process.info["name"] or "", process.info["cwd"]
        is_alive = process.info["status"] != psutil.STATUS_ZOMBIE
        is_here = folder is None or any(map(Path(folder).is_relative_to, tops))
        if name.startswith("git") and is_alive and is_here:
            yield process


def drop_stale_locks() -> None:
    """Remove the locks that a git which was killed left behind, else all further ones fail."""
    left = locks()
    if left and next(at_work(), None) is None:
        for lock in left:
            lock.unlink(missing_ok=True)


def has_branch(name: str) -> bool:
    """Whether there is a branch of this name here."""
    return bool(git("for-each-ref", f"refs/heads/{name}"))


def worktrees() -> dict[Path, str]:
    """The folders in which this repository is checked out, and the branch in each, if any."""
    found, folder = {}, Path()
    for line in git("worktree", "list", "--porcelain").splitlines():
        what, _, value = line.partition(" ")
        if what == "worktree":
            folder = Path(value)
            found[folder] = ""
        elif what == "branch":
            found[folder] = value.removeprefix("refs/heads/")
    return found


def read(revision: str, path: Path) -> str | None:
    """The text of a file at a revision; None where it does not exist."""
    command = ["git", "show", f"{revision}:{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def changes() -> list[str]:
    """Paths that differ from HEAD, or that git neither tracks nor ignores."""
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all")
    return [entry[3:] for entry in git("status", *options).split("\0") if entry]


def commit(message: str, *paths: str) -> str:
    """Commit all changes in the paths, if there are any. Returns the commit that has them."""
    git("add", "--all", "--", *(path for path in paths if Path(path).exists()))
    if git("diff", "--cached", "--name-only"):
        git("commit", "--quiet", "--message", message)
    return git("rev-parse", "HEAD")
