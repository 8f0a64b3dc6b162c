"""Digests, counts and intervals as people read them: the same in a terminal and on a page."""

from collections.abc import Mapping

from lineage.data.exam import Difference, Estimate
from lineage.record.values import Value

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
UNKNOWN = "unknown"


def short(digest: str | None) -> str:
    """The first digits of a digest or a commit."""
    return digest[:8] if digest else UNKNOWN


def count(number: float | None) -> str:
    """A whole number, thousands apart."""
    return UNKNOWN if number is None else f"{number:,.0f}"


def fraction(value: float | None) -> str:
    """A fraction from 0 to 1: .632."""
    return NOTHING if value is None else f"{value:.3f}".replace("0.", ".", 1)


def difference(value: float | None) -> str:
    """A difference of fractions, with its sign: +.073."""
    if value is None:
        return NOTHING
    text = f"{value:+.3f}" if round(value, 3) else "0.000"
    return text.replace("0.", ".", 1).replace("-", MINUS)


def interval(estimate: Estimate | None) -> str:
    """A fraction and its interval: .632 [.599, .664]."""
    if estimate is None:
        return NOTHING
    return f"{fraction(estimate.mean)} [{fraction(estimate.low)}, {fraction(estimate.high)}]"


def signed_interval(estimate: Difference | None) -> str:
    """A difference and its interval: +.073 [+.051, +.098]."""
    if estimate is None:
        return NOTHING
    return f"{difference(estimate.mean)} [{difference(estimate.low)}, {difference(estimate.high)}]"


def value(content: Value) -> str:
    """A params value on one line."""
    if isinstance(content, Mapping):
        entries = (f"{key}: {value(inner)}" for key, inner in content.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(map(value, content)) + "]"
    return NOTHING if content is None else str(content)
