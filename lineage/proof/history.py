"""Whether git itself can be believed: its objects hashed anew, and what changed since a commit."""

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from lineage.record.errors import AuditError, Finding
from lineage.record.tree import Tree, WorkTree, environment, git

HEADER_WORDS = 3  # object, kind, size; fewer where the object is missing
SHA256_DIGITS = 64


def check_objects(tree: Tree) -> Iterator[Finding]:
    """Every object of the commit is what its name says, and none stands in for another."""
    replaced = git(tree.repository, "for-each-ref", "--format=%(refname)", "refs/replace")
    for ref in replaced.split():
        message = "makes git show another object than the one asked for; `git replace -d` ends it"
        yield Finding("git", ref, message)
    names = {tree.commit: tree.commit}
    try:
        for oid, path in _objects(tree.repository, tree.commit, "-t"):
            names.setdefault(oid, path)
    except AuditError as error:
        yield Finding("git", tree.commit, str(error))
        return
    top_tree = ("rev-parse", f"{tree.commit}^{{tree}}")
    names.setdefault(git(tree.repository, "--no-replace-objects", *top_tree).strip(), "/")
    for oid in sorted(names.keys() - _intact(tree.repository, [*names])):
        message = f"object {oid[:12]} is missing or is not what its name says; fetch it anew"
        yield Finding("git", names[oid], message)


def uncommitted(tree: Tree) -> list[str]:
    """The files git tracks that are not as in the commit."""
    if tree.root is None:
        return []
    committed = {path: oid for oid, path in _objects(tree.repository, tree.commit)}
    there = [path for path in committed if (tree.root / path).is_file() and "\n" not in path]
    hashing = subprocess.run(
        ["git", "hash-object", "--stdin-paths"],
        cwd=tree.root,
        env=environment(),
        input="".join(f"{path}\n" for path in there).encode(errors="surrogateescape"),
        capture_output=True,
        check=True,
    )
    now = dict(zip(there, hashing.stdout.decode().split(), strict=True))
    left_out = tree.left_out if isinstance(tree, WorkTree) else ()
    changed = (path for path, oid in committed.items() if now.get(path) != oid)
    return sorted(path for path in changed if path not in left_out)


def _objects(repository: Path, commit: str, *options: str) -> Iterator[tuple[str, str]]:
    """Object and path of each file of a commit."""
    command = ("ls-tree", "-r", "-z", "--full-tree", *options, commit)
    for entry in filter(None, git(repository, "--no-replace-objects", *command).split("\0")):
        facts, _, path = entry.partition("\t")
        _, kind, oid = facts.split()
        if kind != "commit":
            yield oid, path


def _intact(repository: Path, oids: Sequence[str]) -> set[str]:
    """The objects whose bytes have the digest that names them."""
    command = ["git", "--no-replace-objects", "cat-file", "--batch"]
    env = environment()
    intact, pending = set(), list(oids)
    while pending:
        names = "".join(f"{oid}\n" for oid in pending).encode()
        reading = subprocess.run(
            command, cwd=repository, env=env, input=names, capture_output=True, check=False
        )
        replies, num_replies = BytesIO(reading.stdout), 0
        while header := replies.readline().split():
            num_replies += 1
            if len(header) == HEADER_WORDS:
                oid, kind, size = header
                content = replies.read(int(size) + 1)[:-1]
                if _name(kind + b" " + size + b"\0" + content, len(oid)) == oid.decode():
                    intact.add(oid.decode())
        del pending[: num_replies + 1]  # git gives up at an object that it cannot unpack
    return intact


def _name(content: bytes, length: int) -> str:
    """What git names an object by: sha1, or sha256 in a repository made so."""
    new = hashlib.sha256 if length == SHA256_DIGITS else hashlib.sha1
    return new(content, usedforsecurity=False).hexdigest()
