"""The source of a module is kept as it was when it was loaded.

Digests of code are kept by the bytes they are of, and computed where they are not kept.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.running import sources
from stages.running.sources import code_digest, keep, listed_digest, md5_of

ROOT = Path(__file__).parents[2]
SOURCE = b"x = 1\n"
LOAD_THEN_EDIT = """
import stages.pure
from pathlib import Path
from stages.running import sources

file = sources.ROOT / "stages/pure/__init__.py"
assert sources.LOADED[file] == file.read_bytes()
assert sources.ROOT / "stages/__init__.py" in sources.LOADED
assert sources.edited() == []
sources.LOADED[file] += b"# as if it had been edited since"
print(sources.edited())
finders = list(__import__("sys").meta_path)
sources.remember()
assert finders == __import__("sys").meta_path
"""


def test_what_was_loaded_is_known_whatever_stands_there_now() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD_THEN_EDIT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "['stages/pure/__init__.py']\n", done.stderr


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sources, "KNOWN", tmp_path / "kept" / "digests.json")
    sources._known.cache_clear()
    yield tmp_path / "kept" / "digests.json"
    sources._known.cache_clear()


def test_what_is_kept_is_not_computed_again(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep({md5_of(SOURCE): code_digest(SOURCE)})
    assert [file.name for file in known.parent.iterdir()] == [known.name]
    expected = code_digest(SOURCE)
    monkeypatch.delattr(sources, "code_digest")
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
