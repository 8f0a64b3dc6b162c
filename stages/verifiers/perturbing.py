"""Answers made from a right one: some that say the same, and some that are wrong.

What a verifier says of them is known beforehand, so they try it: `benchmarks.reasoning_gym_answers`
every family of reasoning-gym, `stages.verifiers.second_look` a stored round.
"""

import re
from collections.abc import Callable

JUNK = "zebra"

SAME: dict[str, Callable[[str], str]] = {
    "case": str.swapcase,
    "spacing": lambda text: f"  {text}\n",
    "frac": lambda text: re.sub(r"(?<![\w.])(\d+)/(\d+)(?![\w.])", r"\\frac{\1}{\2}", text),
}
"""Writings of the same answer, which most tasks take and none need take."""

WRONG: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "nought": lambda text: "0",
    "nan": lambda text: "nan",
    "sign": lambda text: text[1:] if text.startswith("-") else f"-{text}",
    "percent": lambda text: f"{text}%",
    "words behind": lambda text: f"{text} {JUNK}",
    "words behind a comma": lambda text: f"{text}, {JUNK}",
    "words before": lambda text: f"not {text}",
    "a number behind": lambda text: f"{text} 7",
    "a number on the next line": lambda text: f"{text}\n7",
    "truncated": lambda text: text[: len(text) // 2],
    "swapped digits": lambda text: re.sub(r"(\d)(\d)", r"\2\1", text, count=1),
    "another digit": lambda text: re.sub(
        r"\d", lambda found: str((int(found[0]) + 1) % 10), text, count=1
    ),
}
"""Changes that leave no answer right but by accident."""

WITH_ANOTHER: dict[str, Callable[[str, str], str]] = {
    "another answer": lambda text, other: other,
    "or another": lambda text, other: f"{text} or {other}",
    "and another": lambda text, other: f"{text}, {other}",
    "another on the next line": lambda text, other: f"{text}\n{other}",
}
"""The same, by another problem's answer."""


def same_answers(right: str) -> dict[str, str]:
    """Other writings of a right answer, by what was done; those left as they were are left out."""
    return {kind: text for kind, make in SAME.items() if (text := make(right)) != right}


def wrong_answers(right: str, other: str | None) -> dict[str, str]:
    """Wrong answers by what was done to a right one; `other` is another problem's, if there is one.

    A change that leaves the same words, or the same number nought, is left out.
    """
    made = {kind: make(right) for kind, make in WRONG.items()}
    if other is not None:
        made |= {kind: make(right, other) for kind, make in WITH_ANOTHER.items()}
    return {kind: text for kind, text in made.items() if not _says_the_same(text, right)}


def _says_the_same(text: str, right: str) -> bool:
    """Whether words or numbers are left as they were; minus nought is nought, and so is 0%."""
    said, meant = (
        re.sub(r"-(?=[0.]+(?![0-9.]))", "", " ".join(one.split()).casefold())
        for one in (text, right)
    )
    return said == meant or _number(said) == _number(meant) == 0


def _number(text: str) -> float | None:
    digits = text.removesuffix("%")
    return float(digits) if re.fullmatch(r"\d+(?:\.\d+)?", digits, re.ASCII) else None
