"""Numbers and gains as a page shows them."""

import math
from typing import Any

MINUS, NOTHING = "\N{MINUS SIGN}", "\N{EN DASH}"
GAIN, LOSS = "27, 140, 80", "128, 60, 150"
"""Green and purple: apart for readers of every colour vision, and those of the report."""
LARGEST_OPACITY, LARGEST_SHADE, SURPRISING_NATS = 0.5, 0.35, 5.0


def number(value: Any) -> str:
    """A value to read: thousands apart, three digits after the point that matter."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return text.replace("-", MINUS)


def signed(value: float | None) -> str:
    """A gain or an advantage, with its sign."""
    return NOTHING if value is None else f"{value:+.3f}".replace("-", MINUS)


def tint(gain: float | None) -> str:
    """Background of a gain: green, or purple where it is negative; strength by the square root."""
    if not gain:
        return "transparent"
    opacity = LARGEST_OPACITY * min(1.0, abs(gain)) ** 0.5
    return f"rgba({GAIN if gain > 0 else LOSS}, {opacity:.3f})"


def shade(logprob: float | None) -> str:
    """Background of a token: the darker the less likely it was; none where it was not sampled."""
    if logprob is None or math.isnan(logprob):
        return "transparent"
    return f"rgba(128, 128, 128, {LARGEST_SHADE * min(1.0, abs(logprob) / SURPRISING_NATS):.3f})"


def chance(logprob: float) -> str:
    """A log-probability in nats as a probability."""
    return f"{math.exp(logprob):.2g}"
