"""How a task's text is marked, as `prepare` writes it down for the steps that read text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from stages.running.errors import BadInput
from stages.running.publish import read_json, write_json


@dataclass(frozen=True)
class Format:
    """The marks of a text: thinking segments, then `cue`, then the answer.

    `thinking_end` is the one token that the cue begins with. A segment ends after any of
    `segment_ends`. `self_verdicts` says what a policy claims of its own attempt when it closes a
    segment with that marker; empty where the text makes no claim. `judge_words` are what a
    generative judge says behind an answer that is right, and behind one that is wrong.
    """

    thinking_end: str
    cue: str
    segment_ends: tuple[str, ...]
    self_verdicts: Mapping[str, bool]
    judge_words: tuple[str, str]


def write_format(path: Path, form: Format) -> None:
    """Write the marks of a task's text as JSON."""
    write_json(path, asdict(form))


def read_format(path: Path) -> Format:
    """The marks of a task's text.

    Raises:
        BadInput: the file is missing, or holds something else.
    """
    marks: dict[str, Any] = read_json(path)
    try:
        return TypeAdapter(Format).validate_python(marks)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BadInput(
            f"{path}: {where} is missing or wrong; delete it and run `dvc repro prepare`"
        ) from None


def closing_marker(text: str, segment_ends: Sequence[str]) -> str | None:
    """The marker a segment's text ends with; of several the longest, of none None."""
    return max((marker for marker in segment_ends if text.endswith(marker)), key=len, default=None)


def without_marker(text: str, segment_ends: Sequence[str]) -> str:
    """A segment's text without the marker that closes it."""
    return text.removesuffix(closing_marker(text, segment_ends) or "")
