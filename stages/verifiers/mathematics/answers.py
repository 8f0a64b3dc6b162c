r"""The grammar of an answer to a mathematical question. What is outside of it cannot be read.

A text's answer is told by `spans`; its signs are brought to LaTeX by `typography`, its numbers to
what they mean by `numerals`. What is left is the first of these that it is:

    date, time, range, name of digits     see `literals`
    word        letters alone, more than one: never a product of letters
    matrix      \begin{pmatrix} rows \end{pmatrix}
    region      an interval, an inequality solved for a name, a union, \emptyset: see `regions`
    several     a list by commas, `or`, `and`; a set in braces; `\pm`: in any order
    brackets    (a, b), [a, b, c]: in their order
    ratio       a : b : c
    relation    an equation or an inequality; `x =` before one expression is its name
    value       an expression (see `expressions`), percent or a unit behind it (see `units`)
"""

import re

from stages.verifiers.mathematics import regions, units
from stages.verifiers.mathematics.expressions import read_expression
from stages.verifiers.mathematics.functions import CONSTANTS, FUNCTIONS, GREEK
from stages.verifiers.mathematics.library import is_for_library, read_by_library
from stages.verifiers.mathematics.literals import read_literal
from stages.verifiers.mathematics.numerals import Unreadable, meant
from stages.verifiers.mathematics.readings import (
    Brackets,
    Matrix,
    Ratio,
    Reading,
    Relation,
    Several,
    Sides,
    Value,
    Word,
)
from stages.verifiers.mathematics.shapes import connected, enclosed, relation_chain, split_outside
from stages.verifiers.mathematics.spans import answer_span
from stages.verifiers.mathematics.typography import plain, unspaced, unwrapped
from stages.verifiers.mathematics.values import read_value

MAX_CHARACTERS = 2000
MAX_NESTING = 8
TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|rm)\s*\{([^{}]*)\}")
EMPTY_TEXT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{\s*\}")
BOLD = re.compile(r"\\(?:mathbf|textbf|boldsymbol|bm|textit|mathit|emph)\s*\{(.*)\}")
WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[' .-])*")
MATRIX = re.compile(
    r"\\begin\s*\{([pbB]?|small)matrix\}(.*)\\end\s*\{\1matrix\}|\(\\begin\{matrix\}(.*)\\end\{matrix\}\)"
)
SEPARATOR = re.compile(r"[,;]|\bor\b|\band\b")
TUPLE_SEPARATOR = re.compile(r"[,;]")
COLON = re.compile(r":|\\colon(?![a-z])|\\ratio")
NAME = re.compile(
    r"[A-Za-z](?:_\{?\w+\}?)?'?|\\(?:theta|alpha|beta|lambda|mu)|[a-zA-Z]\([a-z]\)"
    r"|\([a-z](?:, ?[a-z])+\)"
)
PRODUCT_LETTERS = {*"xyz"}


def read(text: str) -> Reading | None:
    """What an answer is; None where it is outside of the grammar."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        span = answer_span(plain(text), units.KNOWN_UNIT)
        return None if span is None else _read(_clean(span), 0)
    except (Unreadable, RecursionError):
        return None


def _clean(text: str) -> str:
    text = unwrapped(unspaced(text))
    while bold := BOLD.fullmatch(text):
        text = bold[1].strip()
    text = EMPTY_TEXT.sub(" ", text).strip().removesuffix(",").strip()
    while whole := TEXT.fullmatch(text):
        text = whole[1].strip()
    if text.endswith(".") and not re.search(r"\.\.$|[ap]\.m\.\}?$", text, re.IGNORECASE):
        text = text[:-1].strip()
    return connected(text)


def _read(text: str, depth: int) -> Reading:
    """The reading of a text.

    Raises:
        Unreadable: it is outside of the grammar.
    """
    if not text or depth > MAX_NESTING:
        raise Unreadable("nothing, or too deep")
    if any(letter.isnumeric() and not letter.isascii() for letter in text):
        raise Unreadable("digits of another script")
    bare = " ".join(TEXT.sub(r" \1 ", text).split())
    if literal := read_literal(bare):
        return literal
    if word := _word(bare):
        return word
    if matrix := MATRIX.fullmatch(text):
        return _matrix(matrix[2] or matrix[3], depth)
    if is_for_library(text):
        return Value(read_by_library(text))
    text = meant(text)
    if (region := regions.read_region(text)) is not None:
        return region
    for reader in (_several, _brackets, _relation, _ratio):
        if (reading := reader(text, depth)) is not None:
            return reading
    return read_value(text)


def _word(text: str) -> Word | None:
    """Words, unless all of them are names that an expression may hold."""
    text = text.strip("()") if re.fullmatch(r"\([A-Za-z ]{2,}\)", text) else text
    if WORDS.fullmatch(text) is None or SEPARATOR.search(text):
        return None
    runs = re.findall(r"[^\W\d_]+", text)
    known = {*FUNCTIONS, *CONSTANTS, *GREEK, "sqrt"}
    if regions.REALS.fullmatch(text):
        return None
    if all(
        (len(run) == 1 and run.isascii()) or run in known or PRODUCT_LETTERS.issuperset(run)
        for run in runs
    ):
        return None
    return Word(" ".join(text.lower().replace(".", " ").split()))


def _matrix(body: str, depth: int) -> Matrix:
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", body) if row.strip()]
    cells = tuple(tuple(_read(cell.strip(), depth + 1) for cell in row.split("&")) for row in rows)
    if not cells or len({len(row) for row in cells}) != 1:
        raise Unreadable("a matrix of unequal rows")
    return Matrix(cells)


def _several(text: str, depth: int) -> Reading | None:
    around = enclosed(text)
    is_set = around is not None and around[0] == "{"
    parts = split_outside(around[1] if around and is_set else text, SEPARATOR)
    if len(parts) == 1 and not is_set:
        return _signs(text, depth)
    if len(parts) > 2 and parts[-2] == "":  # "1, 2, and 3"
        del parts[-2]
    if not is_set and any(re.fullmatch(r"0\d+", part) for part in parts):
        raise Unreadable("digits in groups of another size than three")
    chains = [relation_chain(part) for part in parts]
    names = {parts[0] for parts, signs in chains if signs == ["="] and NAME.fullmatch(parts[0])}
    if len(names) == 1 and len(chains[0][0]) == 2:
        parts = [part.partition("=")[2].strip() if "=" in part else part for part in parts]
    return Several(tuple(_read(part, depth + 1) for part in parts))


def _signs(text: str, depth: int) -> Several | None:
    if not re.search(r"\\pm(?![a-z])", text):
        return None
    if len(re.findall(r"\\pm(?![a-z])", text)) > 1:
        raise Unreadable("two signs of both kinds")
    return Several(
        tuple(_read(re.sub(r"\\pm(?![a-z])", sign, text), depth + 1) for sign in ("+", "-"))
    )


def _brackets(text: str, depth: int) -> Brackets | None:
    around = enclosed(text)
    parts = split_outside(around[1], TUPLE_SEPARATOR) if around else []
    if around is None or len(parts) < 2:
        return None
    opening, _, closing = around
    return Brackets(opening, tuple(_read(part, depth + 1) for part in parts), closing)


def _ratio(text: str, depth: int) -> Ratio | None:
    del depth
    parts = split_outside(text, COLON)
    return Ratio(tuple(map(read_expression, parts))) if len(parts) > 1 else None


def _relation(text: str, depth: int) -> Reading | None:
    parts, signs = relation_chain(text)
    if not signs:
        return None
    if {*signs} == {"="} and NAME.fullmatch(parts[-1]) and not NAME.fullmatch(parts[0]):
        parts.reverse()
    if {*signs} == {"="} and NAME.fullmatch(parts[0]):
        return _named(parts[0], parts[1:], depth)
    sides = tuple(map(read_expression, parts))
    if {*signs} == {"="} and all(side.is_number for side in sides):
        return Sides(sides)
    if len(sides) != 2:
        raise Unreadable("a chain of relations")
    left, right = reversed(sides) if signs[0].startswith(">") else sides
    return Relation(signs[0].replace(">", "<"), left, right)


def _named(name: str, parts: list[str], depth: int) -> Reading:
    """What stands behind `x =`: one expression, or several that are equal numbers."""
    if len(parts) > 1:
        sides = tuple(map(read_expression, parts))
        if all(side.is_number for side in sides):
            return Sides(sides)
        raise Unreadable("a chain of equations")
    value = _read(parts[0], depth + 1)
    if isinstance(value, Value):
        return Value(value.expression, value.unit, name, value.is_unit_doubtful)
    return value
