"""What every question begins with: a revision's files, its graph, and where its bytes lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lineage.record.graph import Graph
from lineage.record.lock import read_lock
from lineage.record.store import Store, open_store
from lineage.record.tree import Tree, open_tree


@dataclass(frozen=True)
class Audit:
    """One revision of a repository, opened."""

    tree: Tree
    graph: Graph
    store: Store


def open_audit(
    repository: Path,
    revision: str | None,
    cache: str | None = None,
    remotes: Mapping[str, str] | None = None,
) -> Audit:
    """Open the working tree, or a revision.

    Raises:
        AuditError: it is no repository, has no such revision, or no lock file.
    """
    tree = open_tree(repository, revision)
    return Audit(tree, Graph.of(read_lock(tree)), open_store(tree, cache, remotes))


def split(spec: str) -> tuple[str, str | None]:
    """`POLICY` or `POLICY@REVISION`, as a policy and a revision."""
    policy, _, revision = spec.partition("@")
    return policy, revision or None


def split_remotes(given: Sequence[str]) -> dict[str, str]:
    """`NAME=URL`, or a URL alone, by name."""
    remotes = {}
    for place, text in enumerate(given):
        name, equals, url = text.partition("=")
        remotes[name if equals else f"given {place}"] = url if equals else text
    return remotes
