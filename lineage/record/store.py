"""Where bytes lie: the working tree, DVC's cache, its remotes; each read held against its digest.

Objects stand under `files/md5/<two digits>/<rest>` in a cache and in a remote. The list of a
folder's members is an object, too.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import IO

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from lineage.record.digests import digests_of, md5_of
from lineage.record.errors import AuditError
from lineage.record.lock import FOLDER, File
from lineage.record.printable import without_secrets
from lineage.record.tree import Tree, checkout

CONFIGS = (".dvc/config", ".dvc/config.local")
ELSEWHERE = (
    ("DVC_SYSTEM_CONFIG_DIR", "XDG_CONFIG_DIRS", "/etc/xdg"),
    ("DVC_GLOBAL_CONFIG_DIR", "XDG_CONFIG_HOME", "~/.config"),
)
"""The folder of DVC's settings of the machine, then of the user: a variable that names it, one that
names the folder it lies in, and that where neither does.
"""


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

    def members(self, md5: str) -> list[Member] | None:
        """The files of a folder, by the list that is here; None where what lies here is another.

        Raises:
            OSError: there is none here.
        """
        with self.open(md5) as stream:
            content = stream.read()
        if md5_of(content) != md5.removesuffix(FOLDER):
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
            if place.has(file.md5) and (members := place.members(file.md5)) is not None:
                return members
        laid = folder_members(self.tree, file.path) if self.tree.root is not None else None
        if laid is not None and md5_of(folder_list(laid)) == file.md5.removesuffix(FOLDER):
            return laid
        raise AuditError(f"{file.path}: {self._nowhere(file.md5)}")

    def open(self, file: File, name: str = "") -> IO[bytes]:
        """Bytes of an output, or of one file of a folder, from the nearest place that has them.

        Raises:
            AuditError: the bytes are nowhere, or no place has the right ones.
        """
        md5 = next((member.md5 for member in self.members(file) if member.name == name), None)
        if md5 is None:
            raise AuditError(f"{file.path} has no file {name}")
        path = f"{file.path}/{name}".rstrip("/")
        if self.tree.root is not None and (self.tree.root / path).is_file():
            laid = _if_right((self.tree.root / path).open("rb"), md5)
            if laid is not None:
                return laid
        if (kept := self._kept_by_git(path, md5)) is not None:
            return kept
        for place in self.places:
            if place.has(md5) and (stored := _if_right(place.open(md5), md5)) is not None:
                return stored
        raise AuditError(f"{path}: {self._nowhere(md5)}")

    def parts(self, file: File) -> Iterator[IO[bytes]]:
        """The part files of a table in their order, one open at a time; once it was one file.

        Raises:
            AuditError: as `open` does.
        """
        for name in sorted(member.name for member in self.members(file)):
            with self.open(file, name) as stream:
                yield stream

    def _kept_by_git(self, path: str, md5: str) -> IO[bytes] | None:
        """Metrics are outputs that git keeps, not the cache: a bare commit has them."""
        try:
            content = self.tree.read(path) if self.tree.root is None else b""
        except FileNotFoundError:
            return None
        return BytesIO(content) if md5_of(content) == md5 else None

    def _nowhere(self, md5: str) -> str:
        searched = ["the working tree"] if self.tree.root else []
        searched += [place.name for place in self.places]
        where = ", ".join(searched) or "any place: no cache and no remote is known here"
        return (
            f"bytes {md5[:12]} of dvc.lock are not in {where}; `dvc pull` fetches them where a "
            "remote has them; `knowhow audit verify` says what was changed"
        )


def open_store(
    tree: Tree, cache: str | None = None, remotes: Mapping[str, str] | None = None
) -> Store:
    """The cache and remotes of a checkout, by its DVC configuration, and those given besides.

    Of an old commit they are those of today. A path in the configuration counts from `.dvc`, so of
    a bare clone only full addresses are taken.
    """
    root = tree.root or checkout(tree.repository)
    config = read_config(tree, root)
    places = []
    folder = cache or config.get("cache", {}).get("dir") or ("cache" if root else None)
    if folder is not None:
        places.append(_place("cache", folder, {}, root, is_given=cache is not None))
    configured = {name: config[name] for name in config if name.startswith("remote ")}
    given = {f"remote {name}": {"url": url} for name, url in (remotes or {}).items()}
    for name, options in {**configured, **given}.items():
        if "url" in options:
            places.append(_place(name, options["url"], options, root, is_given=name in given))
    return Store(tree, [place for place in places if place is not None])


def read_config(tree: Tree, root: Path | None = None) -> dict[str, dict[str, str]]:
    """DVC's settings: `core`, `cache`, and `remote <name>` for each, as DVC itself reads them.

    Those of the machine, of the user, of the repository, and of the checkout, where there is one.
    """
    config: dict[str, dict[str, str]] = {}
    for folder, content in _configs(tree, root):
        parser = ConfigParser(interpolation=None)
        parser.read_string(content.decode("utf-8"))
        for section in parser.sections():
            options = dict(parser[section])
            for key in options.keys() & {"url", "dir"}:
                if folder is not None and "://" not in options[key]:
                    options[key] = str(folder / options[key])
            config.setdefault(section.strip("'").replace('"', ""), {}).update(options)
    return config


def _configs(tree: Tree, root: Path | None) -> Iterator[tuple[Path | None, bytes]]:
    """The files of settings, and the folder from which the paths in each count, if known."""
    for variable, of_all, usual in ELSEWHERE:
        above = (os.environ.get(of_all) or usual).split(os.pathsep)[0]
        folder = Path(os.environ.get(variable) or f"{above}/dvc").expanduser()
        with suppress(FileNotFoundError):
            yield folder, (folder / "config").read_bytes()
    for path in CONFIGS:
        with suppress(FileNotFoundError):
            yield None, (root / path).read_bytes() if root else tree.read(path)


def folder_members(tree: Tree, path: str) -> list[Member] | None:
    """The files of a folder as they lie in the working tree; None where there is no such folder."""
    assert tree.root is not None
    folder = tree.root / path
    if not folder.is_dir():
        return None
    members = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            with file.open("rb") as stream:
                md5 = digests_of(stream).md5
            members.append(Member(file.relative_to(folder).as_posix(), md5))
    return members


def folder_list(members: Sequence[Member]) -> bytes:
    """The object by which DVC names a folder."""
    entries = [{"md5": member.md5, "relpath": member.name} for member in members]
    return json.dumps(sorted(entries, key=itemgetter("relpath"))).encode()


def _if_right(stream: IO[bytes], md5: str) -> IO[bytes] | None:
    """The stream, at its beginning, where its bytes have this digest; else None, and it is shut."""
    if digests_of(stream).md5 == md5:
        stream.seek(0)
        return stream
    stream.close()
    return None


def _place(
    name: str, url: str, options: Mapping[str, str], root: Path | None, is_given: bool
) -> Place | None:
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
        raise AuditError(without_secrets(f"{name}: {url}: {error}")) from None
    return Place(name, filesystem, path.rstrip("/"))
