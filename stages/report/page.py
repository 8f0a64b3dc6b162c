"""The page: a template filled in.

All text is escaped; nothing is loaded and no script runs, by its own policy.
"""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from stages.contracts.policy_tree import branch
from stages.running.pages import templates

TEMPLATE = "report.html.j2"
MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
GAIN, LOSS = (
    "27, 140, 80",
    "128, 60, 150",
)  # green and purple: apart for readers of every colour vision
LARGEST_OPACITY = 0.62


def fill(**content: Any) -> str:
    """The page as HTML text."""
    environment = templates(Path(__file__).parent)
    environment.filters |= {"svg": Markup}
    environment.globals |= {
        "percent": percent,
        "points": points,
        "number": number,
        "tint": tint,
        "branch": branch,
    }
    return environment.get_template(TEMPLATE).render(content)


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction in percent."""
    return NOTHING if fraction is None else f"{100 * fraction:.{digits}f}".replace("-", MINUS) + "%"


def points(fraction: float | None, digits: int = 1) -> str:
    """A difference of fractions in percentage points, with its sign."""
    if fraction is None:
        return NOTHING
    text = f"{100 * fraction:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", MINUS)


def number(value: int | float | None) -> str:
    """A number to read: thousands apart, four digits that matter."""
    if value is None:
        return NOTHING
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return text.replace("-", MINUS)


def tint(progress: float | None) -> str:
    """Background of a segment: green for progress, purple for the opposite.

    Its strength is by the square root.
    """
    if progress is None:
        return "transparent"
    opacity = LARGEST_OPACITY * min(1.0, abs(progress)) ** 0.5
    return f"rgba({GAIN if progress > 0 else LOSS}, {opacity:.3f})"
