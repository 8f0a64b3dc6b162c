"""The few things that flows ask of git."""

import subprocess
from pathlib import Path


class GitError(Exception):
    """Git refused; says what and why."""


def git(*arguments: str) -> str:
    """Run a git command; what it printed, without the last line's end.

    Raises:
        GitError: it failed.
    """
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        why = " ".join((done.stderr or done.stdout).split())
        raise GitError(f"git {arguments[0]} failed: {why}")
    return done.stdout.rstrip("\n")


def branch() -> str:
    """The branch that is checked out; empty where none is."""
    return git("branch", "--show-current")


def has_branch(name: str) -> bool:
    """Whether there is a branch of this name here."""
    return bool(git("for-each-ref", f"refs/heads/{name}"))


def switch(name: str) -> None:
    """Check out a branch, made at HEAD where there is none.

    Raises:
        GitError: uncommitted edits prevent it.
    """
    if branch() != name:
        git("switch", "--quiet", *([] if has_branch(name) else ["--create"]), name)


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
