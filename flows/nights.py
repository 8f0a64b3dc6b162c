"""A night: a date, and all names that follow from it. What came of it is in its record, committed on its branch."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flows import git

RECORDS = Path("data/nights")
BRANCHES = "nightly/"


class NoDate(Exception):
    """A night is asked for that is no date."""


@dataclass(frozen=True)
class Night:
    """The names of one night."""

    date: date

    def __str__(self) -> str:
        return self.date.isoformat()

    @property
    def branch(self) -> str:
        """Its branch of git."""
        return f"{BRANCHES}{self}"

    @property
    def round(self) -> str:
        """Its round of params.yaml, and the policy that makes."""
        return f"n{self.date:%Y%m%d}"

    @property
    def version(self) -> str:
        """Under which its policy is registered where it becomes champion; later nights have higher ones."""
        return f"v{self.date.year}.{self.date.month}.{self.date.day}"

    @property
    def file(self) -> Path:
        """Its record."""
        return RECORDS / f"{self}.json"


def named(text: str | None, timezone: str) -> Night:
    """The night of a date as 2026-11-25, else of today.

    Raises:
        NoDate: the text is none.
    """
    if text is None:
        return Night(datetime.now(ZoneInfo(timezone)).date())
    try:
        return Night(datetime.strptime(text, "%Y-%m-%d").date())
    except ValueError:
        raise NoDate(f"{text!r} is no date; write it as 2026-11-25") from None


def wanted(date: str | None, timezone: str) -> Night:
    """The night of a date; without one that which is unfinished on the branch checked out, else today's.

    Raises:
        NoDate: the text is none.
    """
    return (None if date else unfinished()) or named(date, timezone)


def record(night: Night) -> dict[str, Any] | None:
    """What came of a night, from its branch, or from HEAD where that is merged; None before its end."""
    for revision in (night.branch, "HEAD"):
        text = git.read(revision, night.file)
        if text is not None:
            return dict(json.loads(text))
    return None


def begun() -> list[Night]:
    """All nights that have a branch, or a record at HEAD, oldest first."""
    branches = git.git("for-each-ref", "--format=%(refname:lstrip=3)", f"refs/heads/{BRANCHES}").splitlines()
    files = git.git("ls-tree", "--name-only", "HEAD", f"{RECORDS}/").splitlines()
    texts = {*branches, *(Path(file).stem for file in files)}
    return sorted((night for text in texts if (night := _of_name(text))), key=lambda night: night.date)


def unfinished() -> Night | None:
    """The night whose branch is checked out, where it has no record."""
    branch = git.branch()
    night = _of_name(branch.removeprefix(BRANCHES)) if branch.startswith(BRANCHES) else None
    return night if night and record(night) is None else None


def portable(text: str) -> str:
    """A message for a record, which says nothing of where this checkout lies."""
    return text.replace(f"{Path.cwd()}/", "")


def _of_name(text: str) -> Night | None:
    try:
        return named(text, "UTC")
    except NoDate:
        return None
