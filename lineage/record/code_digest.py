"""Digest of Python code by its tokens, whatever its comments, docstrings and blank lines.

The stage `code` lists files by it, and the audit holds files against those listings. It computes
the digest by itself, as it trusts nothing that it audits. Code for Python 3.11 has the same digest
under 3.11, 3.12 and 3.13.
"""

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import decode_source
from io import StringIO

from lineage.record.digests import md5_of

LEFT_OUT = (tokenize.COMMENT, tokenize.NL)
LAYOUT = (tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE)
"""Tokens that count by their type and not by their text."""
TEXT = re.compile(r"[rRuU]?['\"]")
"""How a string begins that does nothing when it stands alone: no f-string, which calls code."""
FSTRING_START, FSTRING_END = (getattr(tokenize, f"FSTRING_{end}", None) for end in ("START", "END"))
"""Python 3.12 and later cut an f-string into tokens; before that it is one, a STRING."""
MOST_KEPT = 1024
"""Digests kept: most steps ran the same files, and cutting one into tokens takes milliseconds."""


def is_listed(path: str, content: bytes, digest: str) -> bool:
    """Whether a file is the one that a listing names; older listings have md5 of its bytes."""
    return digest == md5_of(content) or digest == listed_digest(path, content)


def listed_digest(path: str, content: bytes) -> str:
    """Digest of a file in a listing of code: of Python by its tokens, of others by its bytes."""
    return code_digest(content) if path.endswith(".py") else md5_of(content)


@lru_cache(maxsize=MOST_KEPT)
def code_digest(source: bytes) -> str:
    """md5 of the tokens of Python code, one a line: type, NUL, text.

    Left out are comments, blank lines, and lines that do nothing: of strings alone, as docstrings
    are, those below attributes too, or `pass`. Of ends of lines and of indentation only the type
    counts. An f-string is one token, a STRING. Of what is no Python, md5 of the bytes.
    """
    try:
        text = f"{decode_source(source)}\n"
        ast.parse(text)
        kept = [word for line in _lines(text) if not _is_idle(line) for word in map(_word, line)]
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
        return md5_of(source)
    return md5_of("\n".join(kept).encode())


def _lines(text: str) -> Iterator[list[tuple[int, str]]]:
    """The tokens that count, each its type and text: line by line, changes of indentation apart."""
    line = []
    for token in _tokens(text):
        line.append(token)
        if token[0] in LAYOUT:
            yield line
            line = []
    yield line


def _tokens(text: str) -> Iterator[tuple[int, str]]:
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
                yield tokenize.STRING, _cut(rows, start, token.end)
        elif not depth and token.type not in LEFT_OUT:
            yield token.type, token.string


def _cut(rows: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text from one place to another: row from 1, column from 0."""
    whole = rows[start[0] - 1 : end[0]]
    whole[-1] = whole[-1][: end[1]]
    whole[0] = whole[0][start[1] :]
    return "".join(whole)


def _is_idle(line: list[tuple[int, str]]) -> bool:
    """Whether a line does nothing: it is `pass`, or nothing but text."""
    words = line[:-1]
    is_text = all(kind == tokenize.STRING and TEXT.match(word) for kind, word in words)
    return bool(words) and (is_text or words == [(tokenize.NAME, "pass")])


def _word(token: tuple[int, str]) -> str:
    kind, word = token
    return tokenize.tok_name[kind] if kind in LAYOUT else f"{tokenize.tok_name[kind]}\0{word}"
