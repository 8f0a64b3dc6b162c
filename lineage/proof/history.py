"""Whether git itself can be believed: the objects of a commit hashed anew, and what the working tree changed since."""

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from lineage.record.errors import AuditError, Finding
from lineage.record.tree import Tree, git

HEADER_WORDS = 3  # object, kind, size; fewer where the object is missing
SHA256_DIGITS = 64


def check_objects(tree: Tree) -> Iterator[Finding]:
    """Every object of the commit is what its name says, and none stands in for another."""
    for ref in git(tree.repository, "for-each-ref", "--format=%(refname)", "refs/replace").split():
        yield Finding("git", ref, "makes git show another object than the one asked for; `git replace -d` ends it")
    names = {tree.commit: tree.commit}
    try:
        for oid, path in _listed(tree.repository, tree.commit, "-t"):
            names.setdefault(oid, path)
    except AuditError as error:
        yield Finding("git", tree.commit, str(error))
        return
    top = git(tree.repository, "--no-replace-objects", "rev-parse", f"{tree.commit}^{{tree}}").strip()
    names.setdefault(top, "/")
    for oid in sorted(names.keys() - _intact(tree.repository, [*names])):
        yield Finding("git", names[oid], f"object {oid[:12]} is missing or is not what its name says; fetch it anew")


def uncommitted(tree: Tree) -> list[str]:
    """The files git tracks that are not as in the commit."""
    if tree.root is None:
        return []
    listed = {path: oid for oid, path in _listed(tree.repository, tree.commit)}
    there = [path for path in listed if (tree.root / path).is_file() and "\n" not in path]
    asked = "".join(f"{path}\n" for path in there).encode(errors="surrogateescape")
    done = subprocess.run(
        ["git", "hash-object", "--stdin-paths"], cwd=tree.root, input=asked, capture_output=True, check=True
    )
    now = dict(zip(there, done.stdout.decode().split(), strict=True))
    return sorted(path for path, oid in listed.items() if now.get(path) != oid)


def _listed(repository: Path, commit: str, *options: str) -> Iterator[tuple[str, str]]:
    """Object and path of each file of a commit."""
    listed = git(repository, "--no-replace-objects", "ls-tree", "-r", "-z", "--full-tree", *options, commit)
    for entry in filter(None, listed.split("\0")):
        facts, _, path = entry.partition("\t")
        _, kind, oid = facts.split()
        if kind != "commit":
            yield oid, path


def _intact(repository: Path, oids: Sequence[str]) -> set[str]:
    """The objects whose bytes have the digest that names them."""
    command = ["git", "--no-replace-objects", "cat-file", "--batch"]
    found, pending = set(), list(oids)
    while pending:
        asked = "".join(f"{oid}\n" for oid in pending).encode()
        told = BytesIO(subprocess.run(command, cwd=repository, input=asked, capture_output=True, check=False).stdout)
        answered = 0
        while header := told.readline().split():
            answered += 1
            if len(header) == HEADER_WORDS:
                oid, kind, size = header
                content = told.read(int(size) + 1)[:-1]
                if _name(kind + b" " + size + b"\0" + content, len(oid)) == oid.decode():
                    found.add(oid.decode())
        del pending[: answered + 1]  # git gives up at an object that it cannot unpack
    return found


def _name(content: bytes, length: int) -> str:
    """What git names an object by: sha1, or sha256 in a repository made so."""
    new = hashlib.sha256 if length == SHA256_DIGITS else hashlib.sha1
    return new(content, usedforsecurity=False).hexdigest()
