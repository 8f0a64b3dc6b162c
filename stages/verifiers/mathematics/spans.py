r"""Which part of a text is its answer.

- Where mathematics stands in delimiters (`$…$`, `$$…$$`, `\(…\)`, `\[…\]`, `\boxed{…}`), the last
  of them counts; of boxes inside of one, the last box, and with it nothing but a name and `=`
  before it. Delimiters inside of a box are read as the text around them was.
- Digits or a sign of arithmetic right before it would make it a part of something else: then
  nothing can be read.
- Behind it a percent sign or a unit belongs to it. Other words may follow, but no digits, no
  signs and nothing that takes it back (`or`, `and`, `not`, `wrong`): then nothing can be read.
- Without delimiters the whole text counts, less a lead-in (`The answer is`, `Answer:`, `####`).
- A single `$` is a sign of money or half of a delimiter.
"""

import re

SPAN = re.compile(
    r"\$\$(?P<a>.+?)\$\$|(?<!\\)\$(?P<b>[^$]+?)(?<!\\)\$|\\\((?P<c>.+?)\\\)|\\\[(?P<d>.+?)\\\]",
    re.DOTALL,
)
BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
NAMED = re.compile(r"(?:[A-Za-z](?:_\{?\w+\}?)?|[A-Za-z]\([A-Za-z]\))?\s*(?:=|\\in(?![a-z]))?\s*")
LEAD_IN = re.compile(
    r"(?:####\s*|(?:(?:so|thus|therefore|hence|then|and|now)\b,?\s*)*"
    r"(?:the|my|our|a)?\s*(?:final|correct|right|exact)?\s*(?:answer|result|solution)"
    r"\s*(?:(?:is|are|equals)\b|:|=)\s*:?\s*)+",
    re.IGNORECASE,
)
BOLD_START = re.compile(r"(\*\*|__)([^*_]+)\1")
NO_BEGINNING = re.compile(r"(?:[-+*/^\d]|\\(?:times|cdot|div|pm|mp|frac\{.*\}))\s*$")
NEGATION = re.compile(r"(?:\bnot|n't|\bneither|\bno|≠|\\neq?)\s*$", re.IGNORECASE)
TAKEN_BACK = re.compile(
    r"\d|[=<>+/^$\\%{}\[\]]|\b(?:or|and|not|no|nor|wrong|incorrect|false|but|maybe|perhaps|\w+n't)\b",
    re.IGNORECASE,
)
PERCENT = re.compile(r"(?:\s|\\[,;: ]|~)*(\\?%|per\s?cent\b)\s*", re.IGNORECASE)
UNIT_BEHIND = re.compile(
    r"\s*((?:\\text\s*\{[^{}]*\}|[A-Za-zμµΩ][A-Za-zμµΩ./]*)(?:\^\{?-?\d\}?)?)[.\s]*"
)
NO_END = re.compile(r"[\s.,;:!*_`\"')]*")


def answer_span(text: str, is_unit: "re.Pattern[str]") -> str | None:
    """The part that counts, without its delimiters; None where none can be told."""
    if (span := _last_span(text)) is None:
        return _bare(text)
    before, inner, behind = span
    if NEGATION.search(before) or NO_BEGINNING.search(before):
        return None
    ending = _ending(behind, is_unit)
    if BOX.search(inner) or SPAN.search(inner):
        inner = answer_span(inner, is_unit) or ""
    return None if ending is None else inner + ending


def _last_span(text: str) -> tuple[str, str, str] | None:
    """What stands before the last delimited part, in it and behind it; None where there is none."""
    boxes = _boxes(text)
    spans = [
        (found.start(), found.end(), next(filter(None, found.groups())))
        for found in SPAN.finditer(text)
        if not any(start < found.start() < end for start, end, _ in boxes)
    ]
    if not spans and not boxes:
        return None
    start, end, inner = max([*spans, *boxes])
    inside = [span for span in spans if span[0] < start and span[1] > end]
    if inside:
        around = inside[-1]
        if not NAMED.fullmatch(text[around[0] : start].lstrip("$\\([ ")) and not boxes[:-1]:
            return text[:start], "", ""
        behind = text[end : around[1]].rstrip("$)]\\ ") + text[around[1] :]
        return text[: around[0]], inner, behind
    return text[:start], inner, text[end:]


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """Boxes with their balanced contents, those inside of other boxes left out."""
    boxes: list[tuple[int, int, str]] = []
    for found in BOX.finditer(text):
        depth, position = 1, found.end()
        while position < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            position += 2 if text[position] == "\\" else 1
        if not depth and (not boxes or boxes[-1][1] < position):
            boxes.append((found.start(), position, text[found.end() : position - 1]))
    return boxes


def _ending(behind: str, is_unit: "re.Pattern[str]") -> str | None:
    """What belongs to the answer of what follows its delimiters; None where that undoes it."""
    percent = PERCENT.match(behind)
    rest = behind[percent.end() :] if percent else behind
    unit = None if percent else UNIT_BEHIND.fullmatch(rest)
    if unit and unit[1].startswith("\\"):
        return unit[1]
    if unit and is_unit.fullmatch(re.sub(r"\^.*", "", unit[1])):
        return rf" \text{{ {unit[1]} }}" if "^" not in unit[1] else f" {unit[1]}"
    if not NO_END.fullmatch(rest) and TAKEN_BACK.search(rest):
        return None
    return r"\%" if percent else ""


def _bare(text: str) -> str:
    text = text.strip()
    bold = BOLD_START.match(text)
    if bold and LEAD_IN.fullmatch(bold[2]):
        text = text[bold.end() :].strip()
    if lead := LEAD_IN.match(text):
        text = text[lead.end() :]
    if text.endswith(".") and not re.search(r"\.\.$|\b[ap]\.m\.$", text, re.IGNORECASE):
        text = text[:-1]
    return text.strip()
