"""Digest of Python code by its tokens, whatever its comments, docstrings and blank lines.

The stage `code` lists files by it, and the audit holds files against those listings. It computes
the digest by itself, as it trusts nothing that it audits. Code for Python 3.11 has the same digest
under 3.11, 3.12 and 3.13.
"""

import ast
import tokenize
from collections.abc import Iterator
from importlib.util import decode_source
from io import StringIO
from typing import NamedTuple

from lineage.record.digests import md5_of

LEFT_OUT = (tokenize.COMMENT, tokenize.NL)
LAYOUT = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
"""Tokens that count by their type and not by their text."""
PASS = tokenize.TokenInfo(tokenize.NAME, "pass", (0, 0), (0, 0), "")
FSTRING_START, FSTRING_END = (getattr(tokenize, f"FSTRING_{end}", None) for end in ("START", "END"))
"""Python 3.12 and later cut an f-string into tokens; before that it is one, a STRING."""
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Docstring(NamedTuple):
    """Where the statement of a docstring begins and ends: line from 1, column from 0."""

    start: tuple[int, int]
    end: tuple[int, int]
    is_whole_body: bool


def is_listed(path: str, content: bytes, digest: str) -> bool:
    """Whether a file is the one that a listing names; older listings have md5 of its bytes."""
    return digest in (md5_of(content), listed_digest(path, content))


def listed_digest(path: str, content: bytes) -> str:
    """Digest of a file in a listing of code: of Python by its tokens, of others by its bytes."""
    return code_digest(content) if path.endswith(".py") else md5_of(content)


def code_digest(source: bytes) -> str:
    """md5 of the tokens of Python code, one a line: type, NUL, text.

    Left out are comments, blank lines, and docstrings (the string statement that a module, class or
    function begins with) with the end of their line; where a docstring is a whole body, `pass`
    takes its place. Of ends of lines and of indentation only the type counts. An f-string is one
    token, a STRING. Of what is no Python, md5 of the bytes.
    """
    try:
        text = f"{decode_source(source)}\n"
        kept = [_line(token) for token in _without_docstrings(text)]
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
        return md5_of(source)
    return md5_of("\n".join(kept).encode())


def _line(token: tokenize.TokenInfo) -> str:
    name = tokenize.tok_name[token.type]
    return name if token.type in LAYOUT else f"{name}\0{token.string}"


def _without_docstrings(text: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens that count."""
    docstrings = {docstring.start: docstring for docstring in _docstrings(text)}
    last: Docstring | None = None
    for token in _tokens(text):
        if token.start in docstrings:
            last = docstrings[token.start]
        if last is None:
            yield token
        elif token.start >= last.end:
            if last.is_whole_body:
                yield PASS
            if last.is_whole_body or token.type != tokenize.NEWLINE:
                yield token
            last = None


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens that count and those of docstrings; every f-string as one."""
    lines = StringIO(text).readlines()
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == FSTRING_START:
            start = start if depth else token.start
            depth += 1
        elif token.type == FSTRING_END:
            depth -= 1
            if not depth:
                yield tokenize.TokenInfo(
                    tokenize.STRING, _cut(lines, start, token.end), start, token.end, ""
                )
        elif not depth and token.type not in LEFT_OUT:
            yield token


def _cut(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one place to another."""
    whole = lines[start[0] - 1 : end[0]]
    whole[-1] = whole[-1][: end[1]]
    whole[0] = whole[0][start[1] :]
    return "".join(whole)


def _docstrings(text: str) -> Iterator[Docstring]:
    lines = StringIO(text).readlines()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, DOCUMENTED) or not node.body:
            continue
        first = node.body[0]
        if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
            continue
        if isinstance(first.value.value, str):
            assert first.end_lineno is not None
            assert first.end_col_offset is not None
            start = first.lineno, _column(lines[first.lineno - 1], first.col_offset)
            end = first.end_lineno, _column(lines[first.end_lineno - 1], first.end_col_offset)
            yield Docstring(start, end, len(node.body) == 1)


def _column(line: str, offset: int) -> int:
    """Place in a line by its place in the bytes of the line, as `ast` counts."""
    return len(line.encode()[:offset].decode())
