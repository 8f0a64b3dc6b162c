"""Where bytes lie: the working tree, DVC's cache, its remotes. Read by content, each read held against its digest.

Objects stand under `files/md5/<two digits>/<rest>` in a cache and in a remote; the list of a folder's members is an
object too. md5 is what dvc.lock names bytes by; it tells accidents and plain edits, and a signed statement adds sha256.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from lineage.record.errors import AuditError
from lineage.record.lock import File
from lineage.record.tree import Tree, checkout

CHUNK_BYTES = 2**20
CONFIGS = (".dvc/config", ".dvc/config.local")


@dataclass(frozen=True)
class Digests:
    """Digests of the same bytes, in hexadecimal."""

    md5: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Member:
    """A file of a folder; of a single file its only member, with an empty name."""

    name: str
    md5: str


@dataclass(frozen=True)
class Place:
    """Somewhere objects lie under their digest."""

    name: str
    """`cache`, or `remote <name>`."""
    filesystem: AbstractFileSystem
    path: str

    def object(self, md5: str) -> str:
        """Path of an object."""
        return f"{self.path}/files/md5/{md5[:2]}/{md5[2:]}"

    def has(self, md5: str) -> bool:
        """Whether an object is here."""
        return bool(self.filesystem.isfile(self.object(md5)))

    def open(self, md5: str) -> IO[bytes]:
        """An object's bytes."""
        return self.filesystem.open(self.object(md5), "rb")

    def listed(self, md5: str) -> list[Member] | None:
        """The files of a folder, by the list that is here; None where what lies here is another list.

        Raises:
            OSError: there is none here.
        """
        with self.open(md5) as stream:
            content = stream.read()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
            return None
        return [Member(entry["relpath"], entry["md5"]) for entry in json.loads(content)]


@dataclass(frozen=True)
class Store:
    """The places of a checkout, nearest first."""

    tree: Tree
    places: Sequence[Place]

    def members(self, file: File) -> list[Member]:
        """The files an output is made of.

        Raises:
            AuditError: the list of a folder is nowhere, or what lies there is another one.
        """
        if not file.is_folder:
            return [Member("", file.md5)]
        for place in self.places:
            if place.has(file.md5) and (members := place.listed(file.md5)) is not None:
                return members
        if self.tree.root is not None and (found := folder_members(self.tree, file.path)) is not None:
            listed = folder_list(found)
            if hashlib.md5(listed, usedforsecurity=False).hexdigest() == file.md5.removesuffix(".dir"):
                return found
        raise AuditError(f"{file.path}: {self._nowhere(file.md5)}")

    def open(self, file: File, name: str = "") -> IO[bytes]:
        """An output's bytes, or those of one file of a folder, from the nearest place where they are what they should.

        Raises:
            AuditError: the bytes are nowhere, or no place has the right ones.
        """
        md5 = next((member.md5 for member in self.members(file) if member.name == name), None)
        if md5 is None:
            raise AuditError(f"{file.path} has no file {name}")
        path = f"{file.path}/{name}".rstrip("/")
        if self.tree.root is not None and (self.tree.root / path).is_file():
            stream = (self.tree.root / path).open("rb")
            if digests(stream).md5 == md5:
                stream.seek(0)
                return stream
            stream.close()
        if (kept := self._kept_by_git(path, md5)) is not None:
            return kept
        for place in self.places:
            if place.has(md5):
                found = place.open(md5)
                if digests(found).md5 == md5:
                    found.seek(0)
                    return found
                found.close()
        raise AuditError(f"{path}: {self._nowhere(md5)}")

    def parts(self, file: File) -> Iterator[IO[bytes]]:
        """The part files of a table in their order, one open at a time; before there were parts it was one file.

        Raises:
            AuditError: as `open` does.
        """
        for name in sorted(member.name for member in self.members(file)):
            with self.open(file, name) as stream:
                yield stream

    def _kept_by_git(self, path: str, md5: str) -> IO[bytes] | None:
        """Metrics are outputs that git keeps, not the cache: a commit has them without a working tree."""
        try:
            content = self.tree.read(path) if self.tree.root is None else b""
        except FileNotFoundError:
            return None
        return BytesIO(content) if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5 else None

    def _nowhere(self, md5: str) -> str:
        searched = [*(["the working tree"] if self.tree.root else []), *(place.name for place in self.places)]
        where = ", ".join(searched) or "any place: no cache and no remote is known here"
        return (
            f"bytes {md5[:12]} of dvc.lock are not in {where}; `dvc pull` fetches them where a remote has them; "
            "`knowhow audit verify` says what was changed"
        )


def open_store(tree: Tree, cache: str | None = None, remotes: Mapping[str, str] | None = None) -> Store:
    """The cache and remotes of a checkout, by its DVC configuration; those given are taken besides.

    Of an old commit they are those of today. A path in the configuration counts from `.dvc`, so of a bare clone only
    full addresses are taken.
    """
    root = tree.root or checkout(tree.repository)
    config = read_config(tree, root)
    places = []
    folder = cache or config.get("cache", {}).get("dir") or ("cache" if root else None)
    if folder is not None and (place := _place("cache", folder, {}, root, is_given=cache is not None)):
        places.append(place)
    configured = {name: dict(section) for name, section in config.items() if name.startswith("remote ")}
    given = {f"remote {name}": {"url": url} for name, url in (remotes or {}).items()}
    for name, section in {**configured, **given}.items():
        if "url" in section and (place := _place(name, section["url"], section, root, is_given=name in given)):
            places.append(place)
    return Store(tree, places)


def read_config(tree: Tree, root: Path | None = None) -> dict[str, dict[str, str]]:
    """DVC's settings: `core`, `cache`, and `remote <name>` for each remote; of the checkout, where there is one."""
    parser = ConfigParser(interpolation=None)
    for path in CONFIGS:
        try:
            parser.read_string(((root / path).read_bytes() if root else tree.read(path)).decode("utf-8"))
        except FileNotFoundError:
            continue
    return {name.strip("'").replace('"', ""): dict(parser[name]) for name in parser.sections()}


def digests(stream: IO[bytes]) -> Digests:
    """Read a stream to its end and digest it."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while chunk := stream.read(CHUNK_BYTES):
        md5.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    return Digests(md5.hexdigest(), sha256.hexdigest(), size)


def folder_members(tree: Tree, path: str) -> list[Member] | None:
    """The files of a folder as they lie in the working tree; None where there is no such folder."""
    assert tree.root is not None
    folder = tree.root / path
    if not folder.is_dir():
        return None
    return [
        Member(file.relative_to(folder).as_posix(), _md5_of(file))
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


def folder_list(members: Sequence[Member]) -> bytes:
    """The object by which DVC names a folder."""
    entries = [{"md5": member.md5, "relpath": member.name} for member in members]
    return json.dumps(sorted(entries, key=itemgetter("relpath"))).encode()


def _md5_of(path: Any) -> str:
    with path.open("rb") as stream:
        return digests(stream).md5


def _place(name: str, url: str, options: Mapping[str, str], root: Path | None, is_given: bool) -> Place | None:
    if "://" not in url and not url.startswith("/") and not is_given:
        if root is None:
            return None
        url = str(root / ".dvc" / url)
    if "://" not in url:
        path = url.rstrip("/")
        return Place(name, LocalFileSystem(), path) if name.startswith("remote") or path else None
    endpoint = {"endpoint_url": options["endpointurl"]} if "endpointurl" in options else {}
    keys = {"key": "access_key_id", "secret": "secret_access_key"}
    secrets = {ours: options[theirs] for ours, theirs in keys.items() if theirs in options}
    try:
        filesystem, path = fsspec.url_to_fs(url, **endpoint, **secrets)
    except (ImportError, ValueError) as error:
        raise AuditError(f"{name}: {url}: {error}") from None
    return Place(name, filesystem, path.rstrip("/"))
