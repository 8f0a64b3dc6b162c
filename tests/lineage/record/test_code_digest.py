"""Which edits of code count and which do not; one digest whatever Python computes it."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.checkouts import ROOT
from lineage.record import code_digest as module
from lineage.record.code_digest import code_digest, is_listed, listed_digest, md5_of

CODE = '''\
"""A module."""

import os


class Box:
    """A box."""

    size: int = 1
    """An attribute."""

    def grow(self, by: int = 1) -> str:
        """Make it larger."""
        self.size += by  # at once
        return f"now {self.size!r:>{by}} and {{more}}"


class Empty(Box):
    """Nothing in it."""
'''
VERSIONS = ("3.11", "3.12", "3.13")


def edited(old: str, new: str) -> bytes:
    assert CODE.count(old) == 1
    return CODE.replace(old, new).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # at once", ""),
        ("  # at once", "  # sooner or later"),
        ("import os\n", "import os\n\n# why\n"),
        ("import os\n", "\n\nimport os\n"),
        ('"""A module."""\n', ""),
        ('"""A module."""\n', '"""A module.\n\nOf several lines.\n"""\n'),
        ('"""A module."""\n', '"A " "module."  # in pieces\n'),
        ('"""An attribute."""', '"""Another."""'),
        ('    """An attribute."""\n', ""),
        ("return f", "pass\n        return f"),
        ('"""Make it larger."""', "'Grow.'"),
        ('        """Make it larger."""\n', ""),
        ('    """A box."""\n\n', ""),
        ('"""Nothing in it."""', '"""Nothing at all: \N{GREEK SMALL LETTER ALPHA}."""'),
        ('"""Nothing in it."""', "pass"),
        (
            "        self.size += by  # at once\n        return",
            "        self.size += by\n        return",
        ),
    ],
)
def test_comments_docstrings_and_blank_lines_do_not_count(old: str, new: str) -> None:
    assert code_digest(edited(old, new)) == code_digest(CODE.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("by: int = 1", "by: int = 2"),
        ("+= by", "-= by"),
        ('f"now', 'f"then'),
        ("{self.size!r", "{self.size!s"),
        (":>{by}}", ":<{by}}"),
        ('f"now', 'rf"now'),
        ('return f"', 'return "'),
        ("import os\n", "import os; import sys\n"),
        ('"""A module."""', '("A module.")'),
        (
            "        self.size += by  # at once\n        return",
            "        self.size += by\n    return",
        ),
        ('    """Nothing in it."""\n', '    """Nothing in it."""\n    size = 2\n'),
        ('"""Nothing in it."""', 'f"""Nothing in it."""'),
        ('"""Nothing in it."""', 'b"""Nothing in it."""'),
    ],
)
def test_all_else_counts(old: str, new: str) -> None:
    assert code_digest(edited(old, new)) != code_digest(CODE.encode())


def test_indentation_and_ends_of_lines_do_not_count() -> None:
    for changed in (
        CODE.replace("    ", "  "),
        CODE.replace("\n", "\r\n"),
        CODE.rstrip(),
        f"\ufeff{CODE}",
    ):
        assert code_digest(changed.encode()) == code_digest(CODE.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('x = """a"""', 'x = """b"""'),
        ('f("a")', 'f("b")'),
        ('def f():\n    return "a"\n', 'def f():\n    return "b"\n'),
        ('def f():\n    "a" % b\n', 'def f():\n    "c" % b\n'),
        ('def f():\n    "a", \n', 'def f():\n    "b", \n'),
        ('x = "# a"', 'x = "# b"'),
        ("x = (\n'a'\n)", "x = (\n'b'\n)"),
        ("class A: 'a'\n", "class A: 'b'\n"),
        ("class A: 'a'\nx = 1\n", "class A: x = 1\n"),
        ("def f(): 'a'\nx = 1\n", "def f():\n    'a'\n    x = 1\n"),
        ("if x:\n    pass\ny\n", "if x:\n    y\n"),
        ("if x:\n    pass\nelse:\n    y\n", "if x:\n    y\n"),
    ],
)
def test_what_only_looks_like_idle_text_counts(one: str, other: str) -> None:
    assert code_digest(one.encode()) != code_digest(other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("async def f():\n  'a'\n  await x\n", "async def f():\n  await x\n"),
        ("def f():\n    x = 1\n    'a'\n", "def f():\n    x = 1\n    'b'\n"),
        ("if x:\n    'a'\n", "if x:\n    pass\n"),
        ("'a'\n", "pass\n"),
        ("'a'\n", ""),
        (
            "class A:\n    def f(self):\n        'a'\n    def g(self):\n        'b'\n",
            "class A:\n    def f(self):\n        pass\n    def g(self):\n        'c'\n",
        ),
    ],
)
def test_lines_that_do_nothing_do_not_count(one: str, other: str) -> None:
    assert code_digest(one.encode()) == code_digest(other.encode())


def test_the_tokens_digested_are_those_by_hand() -> None:
    source = b"# why\ndef f(x=1):\n    'Doc.'\n\n    return f'{x}'\n"
    first = "NAME def,NAME f,OP (,NAME x,OP =,NUMBER 1,OP ),OP :,NEWLINE,INDENT"
    second = "NAME return,STRING f'{x}',NEWLINE,DEDENT,ENDMARKER "
    by_hand = f"{first},{second}".replace(" ", "\0").replace(",", "\n")
    assert code_digest(source) == hashlib.md5(by_hand.encode()).hexdigest()


def test_the_same_bytes_are_cut_into_tokens_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps list some fifty files each, and most of them the same."""
    digest = code_digest(b"kept = 1\n")
    monkeypatch.delattr(module, "_lines")
    assert code_digest(b"kept = 1\n") == digest


@pytest.mark.parametrize("content", [b"{{ a }} text", b"def f(:", b"x = '\x00'", b"\xff\xfe", b"("])
def test_what_is_no_python_is_digested_by_its_bytes(content: bytes) -> None:
    assert code_digest(content) == md5_of(content) == hashlib.md5(content).hexdigest()


def test_by_their_name_files_of_other_kinds_are_digested_by_their_bytes() -> None:
    """JSON is Python by its grammar."""
    one, other = b'["a"]', b'[ "a" ]'
    assert code_digest(one) == code_digest(other)
    assert listed_digest("a.json", one) == md5_of(one) != listed_digest("a.json", other)
    assert listed_digest("a.py", one) == listed_digest("a.py", other)


def test_listings_of_either_kind_hold() -> None:
    now, before = CODE.encode(), edited("  # at once", "")
    assert is_listed("a.py", now, md5_of(now))
    assert is_listed("a.py", now, code_digest(before))
    assert not is_listed("a.py", now, md5_of(before))
    assert not is_listed("a.json", b"[1]", code_digest(b"[ 1 ]"))


def interpreter(version: str) -> str:
    """A Python of a version, wherever this machine has one."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    there = str(kept[-1]) if kept else shutil.which(f"python{version}")
    if not there:
        pytest.skip(f"no Python {version} here")
    return there


@pytest.mark.parametrize("version", VERSIONS)
def test_every_python_computes_the_same(version: str) -> None:
    """Of all code that is listed, and of this file and its f-strings."""
    program = (
        "import runpy, sys; digest = runpy.run_path(sys.argv[1])['code_digest']; "
        "[print(digest(open(path, 'rb').read())) for path in sys.argv[2:]]"
    )
    files = [__file__, *map(str, sorted((ROOT / "stages").rglob("*.py")))]
    command = [interpreter(version), "-c", program, str(module.__file__), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    digests = done.stdout.split()
    assert len(digests) == len(files)
    assert digests == [code_digest(Path(file).read_bytes()) for file in files]
