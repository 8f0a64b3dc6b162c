"""Lines of JSON that somebody else wrote: each an object that says one thing, or what is wrong."""

import codecs
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from stages.running.errors import BadInput

MAX_LINE_BYTES = 2**24
MAX_NAME_CHARACTERS = 40
NO_OBJECT = "not one JSON object on one line"
OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""By the mark that a file begins with; the longer marks first, for one begins as the other does."""


class _Refused(ValueError):
    """What is wrong with a line that the parser itself would take."""


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Every line's number, from 1, its values by name, and what is wrong with it or nothing.

    A number comes as the `Decimal` that is written, so that none is rounded. A byte order mark of
    UTF-8 before the first line is no part of it.

    Raises:
        BadInput: the file says that it is in another encoding.
    """
    with path.open("rb") as stream:
        line = 0
        while content := stream.readline(MAX_LINE_BYTES):
            line += 1
            if line == 1:
                content = _without_mark(path, content)
            if len(content) == MAX_LINE_BYTES and not content.endswith(b"\n"):
                while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                    pass
                yield line, {}, f"longer than {MAX_LINE_BYTES:,} bytes"
                continue
            yield line, *_parsed(content)


def _without_mark(path: Path, content: bytes) -> bytes:
    for mark, encoding in OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise BadInput(
                f"{path} is in {encoding}, as its first bytes say; save it in UTF-8, then set "
                "task.sha256 anew"
            )
    return content.removeprefix(codecs.BOM_UTF8)


def _parsed(content: bytes) -> tuple[dict[str, Any], str]:
    """The object of a line, and what is wrong with it or nothing."""
    try:
        values = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_once,
            parse_int=_number,
            parse_float=_number,
            parse_constant=Decimal,
        )
    except UnicodeDecodeError:
        return {}, "not in UTF-8"
    except _Refused as refused:
        return {}, str(refused)
    except (ValueError, RecursionError):
        if content.startswith(codecs.BOM_UTF8):
            return {}, "with a byte order mark before it, in the middle of the file"
        return {}, NO_OBJECT
    return (values, "") if isinstance(values, dict) else ({}, NO_OBJECT)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys each stand once: of two values, no program says which is meant."""
    values = dict(pairs)
    if len(values) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise _Refused(f"in which key {twice[:MAX_NAME_CHARACTERS]!a} stands twice")
    return values


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise _Refused("with a number beyond all bounds") from None
