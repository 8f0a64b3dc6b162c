"""What a forger would do: change bytes, and make the digests that tell of it anew."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fixtures.checkouts import succeed
from lineage.record.code_digest import code_digest

PART = "part-00000-of-00001.parquet"
"""The file of a table that has but one."""


def duplicate(tree: Path, target: Path) -> Path:
    """A copy in which working tree and cache share their bytes as before."""
    subprocess.run(["cp", "-a", str(tree), str(target)], check=True)
    return target


def commit(tree: Path) -> None:
    """Commit whatever changed."""
    succeed(["git", "add", "--all"], tree)
    succeed(["git", "commit", "--quiet", "--message", "nothing to see here"], tree)


def md5_of(content: bytes) -> str:
    """What dvc.lock names bytes by."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def cached(tree: Path, md5: str) -> Path:
    """Where the cache has an object."""
    return tree / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def part_md5(tree: Path, table: str) -> str:
    """The md5 of a table's only part."""
    return md5_of((tree / table / PART).read_bytes())


def locked(tree: Path, path: str) -> str:
    """The md5 dvc.lock has for an output."""
    match = re.search(
        rf"path: {re.escape(path)}\n +hash: md5\n +md5: (\S+)", (tree / "dvc.lock").read_text()
    )
    assert match, path
    return match[1]


def put(path: Path, content: bytes) -> None:
    """Write a file anew: what shared its bytes keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def overwrite(path: Path, content: bytes) -> None:
    """Write into a file, and so into all that share its bytes; its times stay."""
    times = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate()
        file.write(content)
    path.chmod(times.st_mode)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flipped(content: bytes) -> bytes:
    """The same bytes but one."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def replace(path: Path, old: str, new: str) -> None:
    """Edit a text file, once."""
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))


def edit_step(tree: Path, step: str, old: str, new: str) -> None:
    """Edit what dvc.lock has of one step, once."""
    text = (tree / "dvc.lock").read_text()
    start, end = _span(text, step)
    assert old in text[start:end], old
    (tree / "dvc.lock").write_text(text[:start] + text[start:end].replace(old, new, 1) + text[end:])


def drop_step(tree: Path, step: str) -> None:
    """Take a step out of dvc.lock."""
    text = (tree / "dvc.lock").read_text()
    start, end = _span(text, step)
    (tree / "dvc.lock").write_text(text[:start] + text[end:])


def _span(lock: str, step: str) -> tuple[int, int]:
    """Where the lines of a step begin and end."""
    start = lock.index(f"\n  {step}:\n")
    starts = (match.start() for match in re.finditer(r"\n  [a-z]\S*:\n", lock))
    return start, next((later for later in starts if later > start), len(lock))


def edited(path: Path, column: str, change: Callable[[list], list]) -> None:
    """Write a table anew with one column changed."""
    path = path / PART
    table = pq.read_table(path)
    field = table.schema.field(column).with_nullable(True)
    values = pa.array(change(table[column].to_pylist()), field.type)
    target = path.with_suffix(".forged")
    pq.write_table(
        table.set_column(table.schema.get_field_index(column), field, values),
        target,
    )
    path.unlink()
    target.rename(path)


def cover_up(tree: Path, *paths: str) -> None:
    """Make every digest of changed outputs anew, in dvc.lock and in the cache, and commit."""
    for path in paths:
        old, size = locked(tree, path), 0
        if (tree / path).is_dir():
            members = [file for file in sorted((tree / path).rglob("*")) if file.is_file()]
            listed = []
            for file in members:
                md5, name = md5_of(file.read_bytes()), file.relative_to(tree / path).as_posix()
                listed.append({"md5": md5, "relpath": name})
                put(cached(tree, md5), file.read_bytes())
            content = json.dumps(listed).encode()
            new, size = f"{md5_of(content)}.dir", sum(file.stat().st_size for file in members)
        else:
            content = (tree / path).read_bytes()
            new, size = md5_of(content), len(content)
        if not path.startswith("data/metrics"):
            put(cached(tree, new), content)
        lock = tree / "dvc.lock"
        lock.write_text(
            re.sub(
                rf"md5: {old}\n( +)size: \d+", rf"md5: {new}\n\g<1>size: {size}", lock.read_text()
            )
        )
    commit(tree)


def slim(tree: Path, target: Path) -> Path:
    """A copy of what an audit reads, and no more; results are hard links into its cache."""
    succeed(["git", "clone", "--quiet", "--no-hardlinks", str(tree), str(target)], tree)
    shutil.rmtree(target / ".git/hooks", ignore_errors=True)
    for name in ("user.name", "user.email"):
        succeed(["git", "config", name, "test@example.com"], target)
    shutil.copytree(tree / ".dvc/cache/files", target / ".dvc/cache/files")
    for file in (tree / "data").rglob("*"):
        original, copied = (
            cached(target, md5_of(file.read_bytes())) if file.is_file() else target,
            target / file.relative_to(tree),
        )
        if original.is_file() and not copied.exists():
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.hardlink_to(original)
    for name in ("benchmarks", "docs", "experiments", "flows", "lineage", "tests"):
        shutil.rmtree(target / name, ignore_errors=True)
    commit(target)
    return target


def drop_exam(tree: Path) -> None:
    """Take the exam of s1 out of lock and params, as if it had never been run; commit."""
    for group in ("examine", "grade", "evaluate"):
        if f"\n  {group}@s1:\n" in (tree / "dvc.lock").read_text():
            drop_step(tree, f"{group}@s1")
    replace(tree / "params.yaml", "  s1: {judge: exact}\n", "")
    commit(tree)


def relisted(listing: Path, path: str, content: bytes) -> None:
    """Give a listing of code the digest of another content, of the kind that it has."""
    files = json.loads(listing.read_text())
    before = (listing.parents[2] / path).read_bytes()
    digest_of = md5_of if files[path] == md5_of(before) else code_digest
    listing.write_text(listing.read_text().replace(files[path], digest_of(content)))
