"""Dates, times and ranges: digits and signs that are no arithmetic.

- A date is `2024-01-11`, `2024/1/11`, `January 11, 2024` or `11 January 2024`; `1/11/2024` and
  `11.1.2024` are equal to themselves alone, since countries differ in what they mean.
- A time is `h:mm` or `h:mm:ss` with minutes and seconds below 60, or `5 p.m.`; a colon between
  other numbers is a ratio.
- A range is two numbers with a hyphen and no blanks between them, or `5 to 10`, or with blanks
  where the second is greater: `10 - 3` with blanks is a difference.
- Three or more runs of digits joined by hyphens are a name.
"""

import re

from stages.verifiers.mathematics.numerals import exact
from stages.verifiers.mathematics.readings import Clock, Literal

YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*\.?"
MONTH_FIRST = re.compile(rf"{MONTH} (\d{{1,2}})(?:st|nd|rd|th)?(?:,? (\d{{4}}))?", re.IGNORECASE)
DAY_FIRST = re.compile(
    rf"(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {MONTH}(?:,? (\d{{4}}))?", re.IGNORECASE
)
JOINED = re.compile(r"\d+(?:([/.-])\d+)(?:\1\d+)+")
CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*([ap]\.?\s?m\.?)?|(\d{1,2})\s*([ap]\.?\s?m\.?)",
    re.IGNORECASE,
)
NUMBER = r"(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d+)?"
RANGE = re.compile(
    rf"(?:from |between )?({NUMBER})(\\?%)?( ?)(-{{1,3}}|to|and)( ?)({NUMBER})(\\?%)?"
    r"((?: ?[A-Za-z]+)?)",
    re.IGNORECASE,
)
NOON_HOUR = 12
DAY_HOURS = 24
SIXTY = 60


def read_literal(text: str) -> Literal | Clock | None:
    """The date, time, range or name that a text is; None where it is none."""
    if date := _date(text):
        return date
    if (found := CLOCK.fullmatch(text)) and (clock := _clock(found)):
        return clock
    if joined := JOINED.fullmatch(text):
        return Literal("joined", (joined[1], *map(int, text.split(joined[1]))))
    return _range(text)


def _date(text: str) -> Literal | None:
    if found := YEAR_FIRST.fullmatch(text):
        return Literal("date", (int(found[1]), int(found[3]), int(found[4])))
    if found := MONTH_FIRST.fullmatch(text):
        month, day, year = found[1], found[2], found[3]
    elif found := DAY_FIRST.fullmatch(text):
        day, month, year = found[1], found[2], found[3]
    else:
        return None
    number = MONTHS.index(month.lower()[:3]) + 1
    return Literal("date", (int(year) if year else None, number, int(day)))


def _clock(found: "re.Match[str]") -> Clock | None:
    hours, minutes, seconds = (int(found[i] or 0) for i in (1, 2, 3))
    half = found[4] or found[6]
    if found[5]:
        hours = int(found[5])
    if minutes >= SIXTY or seconds >= SIXTY or hours > DAY_HOURS:
        return None
    if half:
        if not 1 <= hours <= NOON_HOUR:
            return None
        hours = hours % NOON_HOUR + (NOON_HOUR if half.lower().startswith("p") else 0)
    return Clock((hours * SIXTY + minutes) * SIXTY + seconds)


def _range(text: str) -> Literal | None:
    found = RANGE.fullmatch(text)
    if found is None:
        return None
    low, high = (exact(found[i].replace(",", "")) for i in (1, 6))
    is_between = text.lower().startswith("between ")
    if (found[4].lower() == "and") != is_between:
        return None
    if (found[4].isalpha() or found[3] or found[5]) and low >= high:
        return None
    unit = "%" if found[7] else found[8].strip().lower()
    return Literal("range", (low, high, unit))
