"""The source of every module of this package as it was when it was loaded, and what names it.

Files may change after a process has read them. What a step says that it ran is therefore held
against these bytes, and not against what stands in the folder by then.

A listing names Python by its tokens, all else by its bytes. Tokens take a tenth of a second a
thousand lines and more. The stage `code` therefore keeps, beside Python's own bytecode, which bytes
have which digest; whoever lacks that computes it anew. Every step imports this file before it may
be handed over: what takes long to load is loaded where it is needed.
"""

import json
import os
import re
import sys
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import decode_source
from io import StringIO
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = __name__.split(".")[0]
ROOT = Path(__file__).parents[2]
LOADED: dict[Path, bytes] = {}
"""By file; of a module that was loaded twice, the later."""
KNOWN = Path(__file__).parent / "__pycache__" / "digests.json"
LEFT_OUT = (tokenize.COMMENT, tokenize.NL)
LAYOUT = (tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE)
"""Tokens that count by their type and not by their text."""
TEXT = re.compile(r"[rRuU]?['\"]")
"""How a string begins that does nothing when it stands alone: no f-string, which calls code."""
FSTRING_START, FSTRING_END = (getattr(tokenize, f"FSTRING_{end}", None) for end in ("START", "END"))
"""Python 3.12 and later cut an f-string into tokens; before that it is one, a STRING."""


def remember() -> None:
    """From now on keep the source of each module that is loaded, and of those that are already."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    for name, module in list(sys.modules.items()):
        if _is_ours(name) and (file := getattr(module, "__file__", None)):
            LOADED[Path(file)] = Path(file).read_bytes()
    sys.meta_path.insert(0, _Finder())


def edited() -> list[str]:
    """Modules whose file is another now than it was when they were loaded."""
    return sorted(
        file.relative_to(ROOT).as_posix()
        for file, source in LOADED.items()
        if file.is_relative_to(ROOT) and (not file.is_file() or file.read_bytes() != source)
    )


def listed_digest(name: str, content: bytes) -> str:
    """What a listing says of a file.

    Raises:
        SyntaxError: it is to be Python, and is none.
    """
    if not name.endswith(".py"):
        return md5_of(content)
    return _known().get(md5_of(content)) or code_digest(content)


def keep(digests: Mapping[str, str]) -> None:
    """Keep digests of Python files, by the md5 of their bytes, for processes to come."""
    with suppress(OSError):  # they will compute them
        KNOWN.parent.mkdir(exist_ok=True)
        beside = KNOWN.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(digests), encoding="utf-8")
        beside.replace(KNOWN)


@cache
def _known() -> dict[str, str]:
    with suppress(OSError, ValueError):
        known: dict[str, str] = json.loads(KNOWN.read_text(encoding="utf-8"))
        return known
    return {}


def md5_of(content: bytes) -> str:
    """As DVC names some bytes."""
    import hashlib  # loads OpenSSL, which a step that is only handed over does not need

    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def code_digest(source: bytes) -> str:
    """md5 of the tokens of Python code, one a line: type, NUL, text.

    Left out are comments, blank lines, and lines that do nothing: of strings alone, as docstrings
    are, those below attributes too, or `pass`. Of ends of lines and of indentation only the type
    counts. An f-string is one token, a STRING.
    """
    text = f"{decode_source(source)}\n"
    kept = [word for line in lines(text) if not is_idle(line) for word in map(word_of, line)]
    return md5_of("\n".join(kept).encode())


def lines(text: str) -> Iterator[list[tuple[int, str]]]:
    """The tokens that count, each its type and text: line by line, changes of indentation apart."""
    line = []
    for token in tokens(text):
        line.append(token)
        if token[0] in LAYOUT:
            yield line
            line = []
    yield line


def tokens(text: str) -> Iterator[tuple[int, str]]:
    """All tokens but comments and blank lines; every f-string as one."""
    rows = StringIO(text).readlines()
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == FSTRING_START:
            start = start if depth else token.start
            depth += 1
        elif token.type == FSTRING_END:
            depth -= 1
            if not depth:
                yield tokenize.STRING, excerpt(rows, start, token.end)
        elif not depth and token.type not in LEFT_OUT:
            yield token.type, token.string


def excerpt(rows: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one place to another: row from 1, column from 0."""
    whole = rows[start[0] - 1 : end[0]]
    whole[-1] = whole[-1][: end[1]]
    whole[0] = whole[0][start[1] :]
    return "".join(whole)


def is_idle(line: list[tuple[int, str]]) -> bool:
    """Whether a line does nothing: it is `pass`, or nothing but text."""
    words = line[:-1]
    is_text = all(kind == tokenize.STRING and TEXT.match(word) for kind, word in words)
    return bool(words) and (is_text or words == [(tokenize.NAME, "pass")])


def word_of(token: tuple[int, str]) -> str:
    """A token as the digest reads it."""
    kind, text = token
    return tokenize.tok_name[kind] if kind in LAYOUT else f"{tokenize.tok_name[kind]}\0{text}"


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == PACKAGE


class _Finder(MetaPathFinder):
    """Finds this package's modules as Python does, and has their source kept."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_ours(fullname):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType | None:
        LOADED[Path(self.path)] = self.get_data(self.path)
        return super().get_code(fullname)
