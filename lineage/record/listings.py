"""The code of steps by their listings: what the step `code` wrote of each before it ran.

Git keeps the listings. A step that has not run since its code changed has one that an earlier
commit has.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress

from lineage.record.digests import md5_of
from lineage.record.tree import Objects, Tree, git
from lineage.record.values import Value


def read_listing(tree: Tree, path: str, md5: str) -> dict[str, str]:
    """Files of code by path, each with its digest, of the listing that has this md5 itself.

    Nothing where git does not have it.
    """
    for content in _versions(tree, path):
        if md5_of(content) == md5:
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
        listing: Value = json.loads(content)
    except ValueError:
        return {}
    if not isinstance(listing, Mapping):
        return {}
    return {str(path): str(digest) for path, digest in listing.items()}
