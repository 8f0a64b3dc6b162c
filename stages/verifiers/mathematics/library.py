r"""What is left to math-verify: integrals, sums, products and limits over closed ranges of names.

It reads them rightly. What else it may be asked is bounded: commands from a list, natural numbers,
letters, the signs of arithmetic.
"""

import re
from typing import Any

from math_verify import LatexExtractionConfig, parse
from sympy import Expr

from stages.verifiers.mathematics.numerals import Unreadable

ASKED = re.compile(r"\\(?:int|sum|prod|lim)(?![A-Za-z])")
COMMANDS = (
    *("int", "sum", "prod", "lim", "to", "infty", "frac", "dfrac", "sqrt", "pi", "cdot", "times"),
    *("sin", "cos", "tan", "ln", "exp", "rightarrow"),
)
SIGNS = re.compile(r"[0-9A-Za-z\s+\-*/^_=(){}!]*")
DIGIT_RUN_AT_POWER = re.compile(r"[\^_]\s*\d{2}")
CONFIG = LatexExtractionConfig()


def is_for_library(text: str) -> bool:
    """Whether a text holds what the library is asked for."""
    return ASKED.search(text) is not None


def read_by_library(text: str) -> Expr:
    """The value of an integral, a sum, a product or a limit.

    Raises:
        Unreadable: the library may not be asked, or does not know.
    """
    commands = re.findall(r"\\([A-Za-z]+)", text)
    bare = re.sub(r"\\[A-Za-z]+", " ", text)
    is_askable = SIGNS.fullmatch(bare) and not DIGIT_RUN_AT_POWER.search(text)
    if not is_askable or any(command not in COMMANDS for command in commands):
        raise Unreadable("not for the library")
    parsed: list[Any] = parse(
        f"${text}$",
        [CONFIG],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,
    )
    if not parsed or not isinstance(parsed[0], Expr):
        raise Unreadable("the library does not know")
    return parsed[0].doit()
