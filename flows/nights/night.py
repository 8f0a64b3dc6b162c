"""A night: a date, all names that follow from it, its round, and what came of it.

What came of it is in its record, committed on its branch.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from flows.nights import champion, worktree
from flows.nights.settings import Schedule, Settings
from flows.project import git, params_file, yaml_text
from flows.project.params_file import NewRound
from flows.project.paths import DATA

FLOW = "nightly"
"""The Prefect flow of a night, and its deployment."""
WORK = "night"
"""The Prefect flow that runs the night's stages, in the worktree."""
RECORDS = DATA / "nights"
BRANCHES = "nightly/"
LONGEST_GAP = timedelta(hours=2)  # that any clock is put forward by


class NoDate(Exception):
    """The text that should name a night is not a date."""


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
        """Its round of params.yaml, and the policy that the round makes."""
        return f"n{self.date:%Y%m%d}"

    @property
    def version(self) -> str:
        """The champion's version if its policy becomes champion; later nights have higher ones."""
        return f"v{self.date.year}.{self.date.month}.{self.date.day}"

    @property
    def file(self) -> Path:
        """Its record."""
        return RECORDS / f"{self}.json"


class NightPlan(NamedTuple):
    """The night to be run, its settings, and the revision from which it goes on."""

    settings: Settings
    night: Night
    base: str

    @property
    def is_resumed(self) -> bool:
        """Whether it goes on with what it began itself."""
        return self.base == self.night.branch


def planned(settings: Settings, night: Night) -> NightPlan:
    """The plan of a night that has no record yet."""
    is_resumed = git.has_branch(night.branch)
    return NightPlan(settings, night, night.branch if is_resumed else _start())


def _start() -> str:
    """The commit where a night begins.

    It is the end of the last night, where that has all that is checked out here, else what is
    checked out.
    """
    here = git.git("rev-parse", "HEAD")
    for each in reversed(begun()):
        if git.has_branch(each.branch) and record(each):
            end = git.git("rev-parse", each.branch)
            has_all = git.git("rev-list", "--count", here, f"^{end}") == "0"
            return end if has_all else here
    return here


def with_night(text: str, plan: NightPlan) -> str:
    """params.yaml with the night's round, trained on from the champion, and the exams of both.

    Raises:
        BadParams: the recipe is unknown, or the name is taken by an init.
        NoChampion: the revision that it begins at names none.
    """
    settings, name = plan.settings, plan.night.round
    policy = champion.at(plan.base).policy
    if name not in yaml_text.values(text)["rounds"]:
        new = NewRound(name, policy, settings.recipe, settings.judge)
        text = params_file.with_round(text, new)
    for examined in (policy, name):
        text = params_file.with_exam(text, examined, "exact")
    return text


def named(text: str | None, timezone: str) -> Night:
    """The night of a date such as 2026-11-25; without one, today's.

    Raises:
        NoDate: the text is not a date.
    """
    if text is None:
        return Night(datetime.now(ZoneInfo(timezone)).date())
    try:
        return Night(datetime.strptime(text, "%Y-%m-%d").date())
    except ValueError:
        raise NoDate(f"{text!r} is not a date; write it as 2026-11-25") from None


def due(at: datetime, schedule: Schedule) -> Night:
    """The night that Prefect starts at a time, by the schedule.

    Where a clock is put forward over the hour of the night, Prefect starts it an hour early, which
    may be the day before.
    """
    local = at.astimezone(ZoneInfo(schedule.timezone)).replace(tzinfo=None)
    meant = next(CronSim(schedule.cron, local - timedelta(minutes=1)))
    return Night((meant if meant - local <= LONGEST_GAP else local).date())


def wanted(date: str | None, timezone: str) -> Night:
    """The night of a date; without one, the night that is unfinished here, else today's.

    Raises:
        NoDate: the text is not a date.
    """
    return (None if date else unfinished()) or named(date, timezone)


def record(night: Night) -> dict[str, Any] | None:
    """What came of a night, from its branch, or from HEAD where that is merged.

    None before the night's end.
    """
    for revision in (night.branch, "HEAD"):
        text = git.read(revision, night.file)
        if text is not None:
            return dict(json.loads(text))
    return None


def begun() -> list[Night]:
    """All nights that have a branch, or a record at HEAD, oldest first."""
    refs = ("--format=%(refname:lstrip=3)", f"refs/heads/{BRANCHES}")
    branches = git.git("for-each-ref", *refs).splitlines()
    files = git.git("ls-tree", "--name-only", "HEAD", f"{RECORDS}/").splitlines()
    nights = map(_of_name, {*branches, *(Path(file).stem for file in files)})
    return sorted(filter(None, nights), key=lambda night: night.date)


def unfinished() -> Night | None:
    """The night whose branch is checked out in the nights' worktree, where it has no record."""
    branch = worktree.branch()
    night = _of_name(branch.removeprefix(BRANCHES)) if branch.startswith(BRANCHES) else None
    return night if night and record(night) is None else None


def portable(text: str) -> str:
    """A message for a record, without the places where the worktree and the checkout lie."""
    for place in (Path.cwd(), worktree.HOME.resolve()):
        text = text.replace(f"{place}/", "")
    return text


def _of_name(text: str) -> Night | None:
    try:
        return named(text, "UTC")
    except NoDate:
        return None
