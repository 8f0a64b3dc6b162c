"""A cell of somebody else's file as text, or why it cannot be: a number is written in full."""

from decimal import Decimal
from typing import Any

MAX_DIGITS = 1000


def cell_fault(value: Any) -> str:
    """What keeps a cell from being text, said of a row; empty where nothing does."""
    if isinstance(value, str):
        return ""
    if isinstance(value, bytes):
        return "with bytes that are not in UTF-8"
    number = _number(value)
    if number is None:
        return "with neither text nor a number"
    if not number.is_finite():
        return f"with no number ({number})"
    if _num_digits(number) > MAX_DIGITS:
        return f"with a number of more than {MAX_DIGITS} digits"
    return ""


def cell_text(value: Any) -> str:
    """A sound cell as text; a number in digits alone, as people and verifiers write it.

    0.0000001 and not 1e-07, which reads as e less 7. Zero has no sign.
    """
    if isinstance(value, str):
        return value
    number = _number(value)
    assert number is not None
    return format(number if number else abs(number), "f")


def level_text(value: Any) -> str:
    """A sound cell as the name of a level: 5.0, which is 5 beside a missing number, is level 5."""
    text = cell_text(value).strip()
    if isinstance(value, str) or "." not in text:
        return text
    return text.rstrip("0").rstrip(".")


def _number(value: Any) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Decimal(value) if isinstance(value, int) else Decimal(repr(value))


def _num_digits(number: Decimal) -> int:
    """How many digits it has when it is written without an exponent."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    return max(len(digits) + max(exponent, 0), -exponent)
