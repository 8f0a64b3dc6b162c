"""Digests of code are kept by the bytes they are of, and computed where they are not kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.running import code_digest as module
from stages.running.code_digest import code_digest, keep, listed_digest, md5_of

SOURCE = b"x = 1\n"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(module, "KNOWN", tmp_path / "kept" / "digests.json")
    module._known.cache_clear()
    yield tmp_path / "kept" / "digests.json"
    module._known.cache_clear()


def test_what_is_kept_is_not_computed_again(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep({md5_of(SOURCE): code_digest(SOURCE)})
    assert [file.name for file in known.parent.iterdir()] == [known.name]
    expected = code_digest(SOURCE)
    monkeypatch.delattr(module, "code_digest")
    assert listed_digest("a.py", SOURCE) == expected


@pytest.mark.parametrize("content", [None, b"", b"[1"])
def test_what_is_not_kept_is_computed(content: bytes | None, known: Path) -> None:
    if content is not None:
        known.parent.mkdir()
        known.write_bytes(content)
    assert listed_digest("a.py", SOURCE) == code_digest(SOURCE)
    assert listed_digest("a.py", b"x = 1  # one\n") == code_digest(SOURCE)


def test_what_is_no_python_goes_by_its_bytes(known: Path) -> None:
    assert listed_digest("a.json", SOURCE) == md5_of(SOURCE)
