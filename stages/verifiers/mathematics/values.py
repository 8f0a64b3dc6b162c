r"""An expression with what may stand around it: a sign of money, percent, degrees, a unit.

28% is 28/100. A degree is a unit behind a number, and a number inside of an expression
(`\sin 30^\circ`). Behind digits without a blank a single letter is a factor, `5m` five times m;
with one, or in `\text{}`, it is a unit.
"""

import re

from sympy import Rational

from stages.verifiers.mathematics.expressions import read_expression
from stages.verifiers.mathematics.functions import CONSTANTS, FUNCTIONS, GREEK
from stages.verifiers.mathematics.numerals import Unreadable
from stages.verifiers.mathematics.readings import Value
from stages.verifiers.mathematics.units import KNOWN, POWERS, unit_of

MONEY = re.compile(r"([+-]?)\s*(\\\$|\$|€|£|¥|\\text\{\s*\\?\$\s*\})\s*(.+)")
MONEY_BEHIND = re.compile(r"(.+?)\s*(\\\$|\$|€|£|¥|¢)")
PERCENT = re.compile(r"(.+?)\s*(?:\\?%|\\text\s*\{\s*(?:\\?%|per\s?cent)\s*\}|\s?\bper\s?cent)")
DEGREE = re.compile(
    r"(.*[\d)}])\s*(?:\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree|\\deg)\s*"
    r"(?:\\(?:text|mathrm)\s*\{\s*([CF])\s*\}|([CF]))?"
)
TEXT_UNIT = re.compile(
    r"(.*?[^\s\\])\s*((?:\\(?:text|textrm|mathrm|mbox|rm|textbf)\s*\{[^{}]*\}"
    r"(?:\s*\^\s*(?:-?\d|\{-?\d\}))?\s*(?:/|\\cdot)?\s*)+)"
)
EXPONENT = r"(?:\^(?:-?\d|\{-?\d\}))?"
WORD_UNIT = re.compile(
    rf"(.*[\d)}}!])( ?)([A-Za-zμµΩ][A-Za-zμµΩ'./ -]*?{EXPONENT}(?:/[A-Za-z]+{EXPONENT})?)"
)
UNIT_FRACTION = re.compile(
    r"\\[dt]?frac\s*\{\s*(\\(?:text|mathrm)\{[^{}]*\})\s*\}\s*\{\s*(\\(?:text|mathrm)\{[^{}]*\})\s*\}$"
)
FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc|arc\w+)(?![a-z])|\b(?:sin|cos|tan)\b")
NAMES = {*FUNCTIONS, *CONSTANTS, *GREEK, "sqrt"}


def read_value(text: str) -> Value:
    """The value that a text is.

    Raises:
        Unreadable: it is none.
    """
    text = text.strip()
    if money := MONEY.fullmatch(text):
        sign = money[2].replace("\\text", "").strip("\\{} ")
        return _in_unit(money[1] + money[3], sign, is_doubtful=sign == "$")
    if money := MONEY_BEHIND.fullmatch(text):
        sign = money[2].lstrip("\\")
        return _in_unit(money[1], sign, is_doubtful=sign == "$")
    if percent := PERCENT.fullmatch(text):
        return Value(read_expression(percent[1]) * Rational(1, 100))
    degree = DEGREE.fullmatch(text)
    if degree and not FUNCTION.search(degree[1]):
        scale = degree[2] or degree[3]
        return _in_unit(degree[1], f"°{scale}" if scale else "degree")
    if (value := _with_words(text)) is not None:
        return value
    return Value(read_expression(text))


def _with_words(text: str) -> Value | None:
    """A number and a unit of words; None where there is no unit."""
    text = UNIT_FRACTION.sub(r"\1/\2", text)
    if found := TEXT_UNIT.fullmatch(text):
        if (unit := unit_of(found[2])) is None:
            raise Unreadable(f"{found[2][:30]!r} behind a number")
        return _in_unit(found[1], unit)
    found = WORD_UNIT.fullmatch(text)
    if found is None:
        return None
    words = re.findall(r"[A-Za-zμµΩ]+", found[3])
    if any(word in NAMES for word in words) or {*"".join(words)} <= {*"xyz"}:
        return None
    is_measure = all({word, word.lower()} & {*KNOWN, *POWERS} for word in words)
    if not found[2]:
        if len(words[0]) == 1 or not is_measure:
            return None
    elif not is_measure and any(len(word) == 1 for word in words):
        return None
    unit = unit_of(found[3])
    if unit is None:
        raise Unreadable(f"{found[3][:30]!r} behind a number")
    return _in_unit(found[1], unit)


def _in_unit(text: str, unit: str, is_doubtful: bool = False) -> Value:
    expression = read_expression(text)
    if not expression.is_number:
        raise Unreadable("a unit of what is no number")
    return Value(expression, unit, None, is_doubtful)
