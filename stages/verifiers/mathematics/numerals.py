r"""Numbers as they are written, rewritten to what they mean before an expression is read.

- Digits in groups of three, separated all alike by `,`, `{,}`, a blank, `_` or `'`, are one number;
  a comma inside of brackets separates elements instead (`(100,200)` has two).
- A natural number and a proper fraction of natural numbers behind it, `2 1/3` or `2\frac13`, are a
  mixed number, their sum, and a minus before it belongs to both.
- Digits, `e` or `E` and an exponent without blanks, `4e-07`, are scientific notation.
- `0.\overline{3}`, `0.\dot{3}` and `0.(3)` repeat for ever.
- A subscript from 2 to 36 behind digits, or `base 2`, is their base; `0b`, `0o`, `0x` are bases.
- Leading zeros change nothing.
"""

import re
from fractions import Fraction

MAX_EXPONENT = 5000
MAX_BASE = 36
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
FRACTION_COMMAND = r"\\[dtc]?frac\s*"
SMALL_FRACTION = re.compile(
    rf"{FRACTION_COMMAND}(?:\{{\s*(\d+)\s*\}}|(\d))\s*(?:\{{\s*(\d+)\s*\}}|(\d)(?!\d))"
)
NOT_INSIDE = r"(?<![\w.,^/)}\\'])(?<![\d,] )"
WHOLE = r"(?:[1-9]\d{0,2}(?: \d{3})+|[1-9]\d{0,2}(?:,\d{3})+|\d+)"
MIXED = re.compile(rf"{NOT_INSIDE}({WHOLE}) ?({SMALL_FRACTION.pattern})(?!\s*[\d^!])")
MIXED_PLAIN = re.compile(rf"{NOT_INSIDE}({WHOLE}) ([1-9]\d*) ?/ ?(\d+)(?![\d.^!])")
GROUPED = re.compile(
    r"(?<![\w.,^\\'])(?<!\d )[1-9]\d{0,2}"
    r"(?:(?: \d{3})+(?! \d)|(?:_\d{3})+|(?:'\d{3})+|(?:\{,\}\d{3})+)(?![\w'])"
)
COMMAS = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?:,\d{3})+(?![\w]|,\d)")
SMALL_GROUPS = re.compile(r"(?<![\w.,])\d+\.\d{3}(?: \d{3})+(?: \d{1,2})?(?![\w])(?! \d)")
SCIENTIFIC = re.compile(r"(?<![\w.])((?:\d+\.?\d*|\.\d+))[eE]([+-]?\d+)(?![\w.])")
REPEATING = re.compile(
    r"(\d*)\.(\d*)(?:\\(?:overline|bar)\s*\{(\d+)\}|\\(?:overline|bar)\s*(\d)(?!\d)|\((\d+)\)(?!\d)"
    r"|\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?)"
)
BASED = re.compile(
    r"(?<![\w.\\^])\(?([0-9A-Z]+|[a-f0-9]{2,}|\\(?:text|mathrm)\{[0-9A-Za-z]+\})\)?"
    r"(?:_\{?\s*(?:\\(?:text|mathrm)\s*\{\s*(?:base\s*)?)?\(?(\d{1,2}|[a-z]+)\)?\s*\}{0,2}"
    r"| \(?(?:in )?base[ -](\d{1,2}|[a-z]+)\)?)(?![\w}])"
)
PREFIXED = re.compile(r"(?<![\w.])0([bBoOxX])([0-9A-Fa-f]+)(?![\w.]|(?: in)? base)")
CROSS = re.compile(r"(?<=\d) ?[xX] ?(?=10\s*(?:\^|\*\*))")
CHOOSE = re.compile(r"\{\s*(\w+)\s*\\choose\s*(\w+)\s*\}")
OVER = re.compile(r"\{([^{}]+)\\over(?![a-z])([^{}]+)\}")
BASE_NAMES = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16},
}
PREFIXES = {"b": 2, "o": 8, "x": 16}


class Unreadable(Exception):
    """What stands outside of the grammar."""


def meant(text: str) -> str:
    """The text with each such number in digits, fractions and powers of ten.

    Raises:
        Unreadable: a digit that its base does not have, or an exponent beyond all bounds.
    """
    text = OVER.sub(r"\\frac{\1}{\2}", CHOOSE.sub(r"\\binom{\1}{\2}", text))
    text = PREFIXED.sub(lambda m: _in_base(m[2], PREFIXES[m[1].lower()]), text)
    text = BASED.sub(_based, CROSS.sub(r"\\times ", text))
    text = REPEATING.sub(_repeating, text)
    text = SCIENTIFIC.sub(_scientific, text)
    text = MIXED.sub(_mixed, text)
    text = MIXED_PLAIN.sub(_mixed_plain, text)
    text = GROUPED.sub(lambda m: re.sub(r"[ _',{}]", "", m[0]), text)
    text = SMALL_GROUPS.sub(lambda m: m[0].replace(" ", ""), text)
    return _outside_brackets(text)


def exact(digits: str) -> Fraction:
    """A number of digits and at most one point."""
    return Fraction(f"{digits}0" if digits.endswith(".") else digits)


def _outside_brackets(text: str) -> str:
    """Without the commas of grouped digits, where no bracket is open."""
    depth, depths = 0, []
    for letter in text:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(letter, 0)
        depths.append(depth)
    return COMMAS.sub(
        lambda m: m[0] if depths[m.start()] else m[0].replace(",", ""),
        text,
    )


def _mixed(found: "re.Match[str]") -> str:
    above, below = (int(found[i] or found[i + 1]) for i in (3, 5))
    return _sum(found[0], found[1], above, below)


def _mixed_plain(found: "re.Match[str]") -> str:
    return _sum(found[0], found[1], int(found[2]), int(found[3]))


def _sum(text: str, whole: str, above: int, below: int) -> str:
    """A mixed number as a sum; another text than a proper fraction's stays."""
    if not 0 < above < below:
        return text
    return rf"({re.sub('[ ,]', '', whole)}+\frac{{{above}}}{{{below}}})"


def _scientific(found: "re.Match[str]") -> str:
    if abs(int(found[2][:8])) > MAX_EXPONENT:
        raise Unreadable(f"exponent {found[2][:8]}")
    return rf"({found[1]}\times 10^{{{int(found[2])}}})"


def _repeating(found: "re.Match[str]") -> str:
    whole, lead = found[1] or "0", found[2]
    period = found[3] or found[4] or found[5] or found[6] + (found[7] or "") + (found[8] or "")
    value = Fraction(int(whole)) + Fraction(int(lead or "0"), 10 ** len(lead))
    value += Fraction(int(period), (10 ** len(period) - 1) * 10 ** len(lead))
    return rf"(\frac{{{value.numerator}}}{{{value.denominator}}})"


def _based(found: "re.Match[str]") -> str:
    name = found[2] or found[3]
    base = int(name) if name.isdigit() else BASE_NAMES.get(name, 0)
    digits = re.sub(r"\\(?:text|mathrm)\{|\}", "", found[1])
    if not digits[0].isdigit() and (len(digits) == 1 or not 10 < base <= MAX_BASE):
        return found[0]  # A_2 is a name
    return _in_base(digits, base)


def _in_base(digits: str, base: int) -> str:
    if not 2 <= base <= MAX_BASE or any(d not in DIGITS[:base] for d in digits.lower()):
        raise Unreadable(f"{digits[:20]} in base {base}")
    return f"({int(digits, base)})"
