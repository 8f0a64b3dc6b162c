"""Digests of bytes: md5, by which DVC names them, and sha256, by which statements and exports do.

md5 shows accidents and plain edits. It is no proof against an attacker: a signed statement has
sha256 besides.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Digests:
    """Digests of the same bytes, in hexadecimal."""

    md5: str
    sha256: str
    size: int


def digests_of(stream: IO[bytes]) -> Digests:
    """Read a stream to its end and digest it."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        md5.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    return Digests(md5.hexdigest(), sha256.hexdigest(), size)


def md5_of(content: bytes) -> str:
    """md5 of some bytes, in hexadecimal."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256_of(parts: Iterable[bytes]) -> str:
    """sha256 of some bytes, one after the other, in hexadecimal."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part)
    return sha256.hexdigest()
