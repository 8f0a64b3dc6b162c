"""The code of steps by their listings: what the step `code` wrote of each, as it was when the step ran.

Git keeps the listings. A step that has not run since its code changed has one that an earlier commit knows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from lineage.record.tree import Objects, Tree, git


def read_listing(tree: Tree, path: str, md5: str) -> dict[str, str]:
    """Files of code by path, each with its md5, of the listing that has this md5 itself; none where git has it not."""
    for content in _versions(tree, path):
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
            return _parsed(content)
    return {}


def _versions(tree: Tree, path: str) -> Iterator[bytes]:
    """What the tree has at a path, then what the commits before it had, latest first."""
    with suppress(FileNotFoundError):
        yield tree.read(path)
    objects = Objects(tree.repository)
    for commit in git(tree.repository, "log", "--format=%H", tree.commit, "--", path).split():
        with suppress(FileNotFoundError):
            yield objects.read(commit, path)


def _parsed(content: bytes) -> dict[str, str]:
    try:
        found: Any = json.loads(content)
    except ValueError:
        return {}
    return {str(path): str(md5) for path, md5 in found.items()} if isinstance(found, Mapping) else {}
