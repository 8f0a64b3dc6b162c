"""The files of a repository: those of the working tree, or of a commit."""

import os
import re
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from lineage.record.errors import AuditError

STEERING = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE"),
    *("GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE", "GIT_NO_REPLACE_OBJECTS"),
)
"""What git sets for hooks, and what turns a command to another repository than its folder's."""
NOT_LAID = "S "
"""How `git ls-files -t` marks what a sparse checkout leaves out."""
OBJECT = re.compile(rb"(?P<name>[0-9a-f]{40,64}) (?P<kind>\w+) (?P<size>\d+)\n")


class Tree(Protocol):
    """Files by their path from the repository's root, with `/` between folders."""

    @property
    def repository(self) -> Path:
        """The folder git is asked in."""

    @property
    def commit(self) -> str:
        """The commit, in full; of a working tree the one checked out."""

    @property
    def root(self) -> Path | None:
        """Where the files lie on disk; None for a commit."""

    def read(self, path: str) -> bytes:
        """Bytes of a file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    def paths(self, prefix: str = "") -> list[str]:
        """The files git knows whose path starts so, sorted."""


class WorkTree:
    """The working tree of a checkout."""

    def __init__(self, repository: Path) -> None:
        self.root = Path(git(repository, "rev-parse", "--show-toplevel").strip())
        self.repository = self.root
        self.commit = git(repository, "rev-parse", "HEAD").strip()

    def read(self, path: str) -> bytes:
        """See `Tree`. What a sparse checkout leaves out is as in the index."""
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            if path not in self.left_out:
                raise
            return _run(self.root, ("cat-file", "blob", f":{path}"))

    def paths(self, prefix: str = "") -> list[str]:
        """See `Tree`."""
        every = ("--cached", "--others", "--exclude-standard")
        listed = git(self.root, "ls-files", "-z", *every, "--", prefix or ".")
        paths = {path for path in listed.split("\0") if path}
        return sorted(
            path for path in paths if (self.root / path).is_file() or path in self.left_out
        )

    @cached_property
    def left_out(self) -> set[str]:
        """The files that git knows and a sparse checkout does not lay down."""
        listed = git(self.root, "ls-files", "-z", "-t").split("\0")
        return {entry.removeprefix(NOT_LAID) for entry in listed if entry.startswith(NOT_LAID)}


class Objects:
    """The files of all commits, by one git process for all that is read."""

    def __init__(self, repository: Path) -> None:
        self._git = subprocess.Popen(
            ["git", "cat-file", "--batch"],
            cwd=repository,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def read(self, commit: str, path: str) -> bytes:
        """Bytes of a file of a commit.

        Raises:
            FileNotFoundError: there is no such file.
        """
        entry = self._entry(commit, path)
        if entry is None or entry.kind != b"blob":
            raise FileNotFoundError(path)
        return entry.content

    def name(self, commit: str, path: str) -> bytes | None:
        """Git's name of a file or folder of a commit, equal for equal bytes; None without one."""
        entry = self._entry(commit, path)
        return entry.name if entry else None

    def _entry(self, commit: str, path: str) -> "_Entry | None":
        """What a commit has at a path.

        Raises:
            AuditError: git gave up: an object is broken.
        """
        requests, replies = self._git.stdin, self._git.stdout
        assert requests is not None
        assert replies is not None
        try:
            requests.write(f"{commit}:{path}\n".encode())
            requests.flush()
            line = replies.readline()
            header = OBJECT.fullmatch(line)
            content = replies.read(int(header["size"]) + 1) if header else b""
        except BrokenPipeError:
            line, header, content = b"", None, b""
        if not line or (header is not None and len(content) <= int(header["size"])):
            raise AuditError(
                f"git cannot read {path} at {commit[:12]}: an object is broken; "
                "`git fsck` says which"
            )
        return _Entry(header["name"], header["kind"], content[:-1]) if header else None

    def __del__(self) -> None:
        self._git.communicate()


class _Entry(NamedTuple):
    """A file or folder of a commit."""

    name: bytes
    kind: bytes
    content: bytes


class Commit:
    """The files of one commit."""

    root: Path | None = None

    def __init__(self, repository: Path, revision: str) -> None:
        self.repository = repository
        options = ("--verify", "--end-of-options")
        self.commit = git(repository, "rev-parse", *options, f"{revision}^{{commit}}").strip()
        self._objects = Objects(repository)

    def read(self, path: str) -> bytes:
        """See `Tree`."""
        return self._objects.read(self.commit, path)

    def paths(self, prefix: str = "") -> list[str]:
        """See `Tree`."""
        options = ("-r", "-z", "--name-only", "--full-tree")
        listed = git(self.repository, "ls-tree", *options, self.commit)
        return sorted(path for path in listed.split("\0") if path and path.startswith(prefix))


def checkout(repository: Path) -> Path | None:
    """The top folder of a checkout; None of a bare clone."""
    is_bare = git(repository, "rev-parse", "--is-bare-repository").strip() == "true"
    return None if is_bare else Path(git(repository, "rev-parse", "--show-toplevel").strip())


def open_tree(repository: Path, revision: str | None = None) -> Tree:
    """The working tree of `repository`, or one of its commits; of a bare clone HEAD.

    Raises:
        AuditError: it is no git repository, or has no such commit.
    """
    if revision is not None:
        return Commit(repository, revision)
    return WorkTree(repository) if checkout(repository) else Commit(repository, "HEAD")


def environment() -> dict[str, str]:
    """For a git that is asked in a folder: the repository is that of the folder."""
    return {name: value for name, value in os.environ.items() if name not in STEERING}


def git(repository: Path, *arguments: str) -> str:
    """What a git command prints.

    Raises:
        AuditError: git failed; says what it said.
    """
    return _run(repository, arguments).decode("utf-8", errors="surrogateescape")


def _run(repository: Path, arguments: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=repository,
            env=environment(),
            capture_output=True,
            check=False,
        )
    except (FileNotFoundError, NotADirectoryError):
        raise AuditError(f"{repository} is no folder, or git is not installed") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise AuditError(f"git {' '.join(arguments)} in {repository}: {reason}")
    return done.stdout
