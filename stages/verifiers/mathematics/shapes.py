"""Where an answer falls into parts: brackets, commas, signs of relation, at no depth."""

import re
from collections.abc import Sequence

OPEN, CLOSE = "([{", ")]}"
RELATIONS = {
    "<": ("<",),
    ">": (">",),
    "<=": ("\\leqslant", "\\leq", "\\le", "<=", "=<"),
    ">=": ("\\geqslant", "\\geq", "\\ge", ">="),
    "!=": ("\\neq", "\\ne", "!=", "\\not="),
    "=": ("==", "="),
}
SIGN_OF = {word: sign for sign, words in RELATIONS.items() for word in words}
RELATION = re.compile(
    "|".join(
        re.escape(word) + ("(?![A-Za-z])" if word[-1].isalpha() else "")
        for word in sorted(SIGN_OF, key=len, reverse=True)
    )
    + r"|\\lt(?![A-Za-z])|\\gt(?![A-Za-z])"
)
CONNECTIVE = re.compile(
    r"\\(?:text|mathrm|mbox|textrm)\s*\{\s*(or|and)\s*\}|\\(lor|vee|land|wedge)\b"
)


def depths(text: str) -> list[int]:
    """How many brackets are open at each letter; of `]0,1[` less than none."""
    depth, result = 0, []
    for letter in text:
        depth += (letter in OPEN) - (letter in CLOSE)
        result.append(depth)
    return result


def split_outside(text: str, pattern: "re.Pattern[str]") -> list[str]:
    """The parts between the places, outside of all brackets, where a pattern stands."""
    at_depth, parts, begin = depths(text), [], 0
    for found in pattern.finditer(text):
        if at_depth[found.start()] == 0:
            parts.append(text[begin : found.start()])
            begin = found.end()
    return [part.strip() for part in (*parts, text[begin:])]


def relation_chain(text: str) -> tuple[list[str], list[str]]:
    """The expressions of a chain like `0 < x < 1`, and the signs between them."""
    at_depth, parts, signs, begin = depths(text), [], [], 0
    for found in RELATION.finditer(text):
        if at_depth[found.start()] == 0:
            parts.append(text[begin : found.start()].strip())
            signs.append({"\\lt": "<", "\\gt": ">"}.get(found[0]) or SIGN_OF[found[0]])
            begin = found.end()
    return [*parts, text[begin:].strip()], signs


def enclosed(text: str) -> tuple[str, str, str] | None:
    """The opening bracket, what it holds to the text's end, and the closing one."""
    for opening, closing in (("\\{", "\\}"), ("\\lbrace", "\\rbrace"), ("{", "}")):
        if text.startswith(opening) and text.endswith(closing) and _is_one(text):
            return "{", text[len(opening) : -len(closing)].strip(), "}"
    if len(text) > 1 and text[0] in "([]" and text[-1] in ")][":
        inner = text[1:-1]
        if min(depths(inner), default=0) >= 0 and not (depths(inner) or [0])[-1]:
            return text[0], inner.strip(), text[-1]
    return None


def connected(text: str) -> str:
    """The text with ` or ` and ` and ` in the place of their commands."""
    words = {"lor": "or", "vee": "or", "land": "and", "wedge": "and"}
    return " ".join(CONNECTIVE.sub(lambda m: f" {m[1] or words[m[2]]} ", text).split())


def same(texts: Sequence[str | None]) -> bool:
    """Whether all of some texts are one."""
    return len(set(texts)) == 1


def _is_one(text: str) -> bool:
    """Whether the first bracket is closed by the last."""
    return all(depth > 0 for depth in depths(text)[text.index("{") : -1])
