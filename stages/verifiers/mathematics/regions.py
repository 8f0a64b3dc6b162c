r"""Sets of real numbers: intervals, inequalities in one name, their unions, the empty set.

`(0,1)` is a point and an interval, whichever the other answer is; `]0,1[` and `0 < x < 1` are the
interval alone. `x \neq 2` and `\mathbb{R} \setminus \{2\}` are all others. Bounds are numbers.
"""

import re
from collections.abc import Sequence

import sympy
from sympy import Expr, FiniteSet, Interval, Set

from stages.verifiers.mathematics.expressions import read_expression
from stages.verifiers.mathematics.numerals import Unreadable
from stages.verifiers.mathematics.readings import Region
from stages.verifiers.mathematics.shapes import enclosed, relation_chain, split_outside

NAME = re.compile(r"(?:[A-Za-z](?:_\{?\w\}?)?|\\[a-z]+|[A-Za-z]\([A-Za-z]\))")
MEMBER = re.compile(rf"({NAME.pattern})\s*\\in(?![A-Za-z])\s*(.+)")
BUILDER = re.compile(
    r"([A-Za-z])(?:\s*\\in\s*\\mathbb\s*\{?R\}?)?\s*(?:\\mid(?![a-z])|\||:)\s*(.+)"
)
EMPTY = re.compile(r"\\emptyset|\\varnothing|\\O|\\\{\s*\\\}|\{\s*\}")
REALS = re.compile(r"\\mathbb\s*\{?R\}?|\\R|\\Reals|(?:all )?real numbers|all reals", re.IGNORECASE)
CUP, CAP = (
    re.compile(r"\\cup(?![A-Za-z])|(?<=[)\]}]) ?U ?(?=[({\[])"),
    re.compile(r"\\cap(?![A-Za-z])"),
)
WITHOUT = re.compile(r"\\setminus(?![A-Za-z])|\\backslash(?![A-Za-z])|(?<=\})\s*-|(?<=R)\s*-")
COMMA = re.compile(r"[,;]")
OR, AND = re.compile(r"\bor\b"), re.compile(r"\band\b")
ABSOLUTE = re.compile(r"(?:\||\\l?vert(?![a-z]))\s*([A-Za-z])\s*(?:\||\\r?vert)")
NO_NAMES = ("\\infty", "\\pi", "e", "i")


def read_region(text: str) -> Region | None:
    """The set that a text is; None where it is none for certain.

    Raises:
        Unreadable: a bound is no expression.
    """
    if member := MEMBER.fullmatch(text):
        inner = read_region(member[2]) or _interval_region(member[2]) or _finite(member[2])
        return inner and Region(inner.numbers, member[1])
    if EMPTY.fullmatch(text):
        return Region(sympy.S.EmptySet)
    if REALS.fullmatch(text):
        return Region(sympy.S.Reals)
    for pattern, join in ((CUP, sympy.Union), (CAP, sympy.Intersection), (WITHOUT, _without)):
        if len(parts := split_outside(text, pattern)) > 1:
            return _joined(parts, join)
    for pattern, join in ((OR, sympy.Union), (AND, sympy.Intersection)):
        parts = split_outside(text, pattern)
        if len(parts) > 1 and all(_has_inequality(part) for part in parts):
            return _joined(parts, join)
    around = enclosed(text)
    if around and around[0] == "{" and (builder := BUILDER.fullmatch(around[1])):
        return read_region(builder[2])
    if around and ("[" in around[2] or "]" in around[0] + around[2] or "[" in around[0]):
        return _interval_region(text)
    return _distance(text) or _inequality(text)


def interval(opening: str, low: Expr, high: Expr, closing: str) -> Set | None:
    """The numbers between two bounds; None where they are no interval's."""
    if not (low.is_extended_real and high.is_extended_real and low.is_number and high.is_number):
        return None
    if not low < high:
        return None
    return Interval(low, high, opening in "(]", closing in ")[")


def _interval_region(text: str) -> Region | None:
    around = enclosed(text)
    parts = split_outside(around[1], COMMA) if around else []
    if around is None or around[0] == "{" or len(parts) != 2:
        return None
    low, high = map(read_expression, parts)
    numbers = interval(around[0], low, high, around[2])
    return None if numbers is None else Region(numbers)


def _finite(text: str) -> Region | None:
    around = enclosed(text)
    if around is None or around[0] != "{":
        return None
    return Region(FiniteSet(*map(read_expression, split_outside(around[1], COMMA))))


def _joined(parts: Sequence[str], join: "type[Set] | object") -> Region | None:
    regions = [read_region(part) or _interval_region(part) or _finite(part) for part in parts]
    sets = [region.numbers for region in regions if region]
    names = {region.name for region in regions if region and region.name}
    if len(sets) < len(parts) or len(names) > 1 or not callable(join):
        raise Unreadable("sets and others joined")
    return Region(join(*sets), next(iter(names), None))


def _without(whole: Set, *others: Set) -> Set:
    for other in others:
        whole = whole - other
    return whole


def _has_inequality(text: str) -> bool:
    return bool({*relation_chain(text)[1]} - {"="})


def _inequality(text: str) -> Region | None:
    """The solutions of `x < 1`, `0 < x < 1` and the like."""
    parts, signs = relation_chain(text)
    names = [part for part in parts if NAME.fullmatch(part) and part not in NO_NAMES]
    if not signs or "=" in signs or len(names) != 1 or len(parts) > 3:
        return None
    at = parts.index(names[0])
    bounds = [None if index == at else read_expression(part) for index, part in enumerate(parts)]
    if any(bound is not None and not bound.is_extended_real for bound in bounds):
        return None
    if any(bound is not None and not bound.is_number for bound in bounds):
        return None
    numbers: Set = sympy.S.Reals
    for index, sign in enumerate(signs):
        if at not in (index, index + 1):
            raise Unreadable("a chain with its name at an end")
        bound = bounds[index + 1] if at == index else bounds[index]
        numbers = numbers.intersect(_half(sign, bound, is_left=at == index))
    return Region(numbers, names[0])


def _distance(text: str) -> Region | None:
    """The solutions of `|x| < 1` and the like."""
    parts, signs = relation_chain(text)
    name = ABSOLUTE.fullmatch(parts[0])
    if name is None or len(parts) != 2 or signs[0] in ("=", "!="):
        return None
    bound = read_expression(parts[1])
    if not (bound.is_number and bound.is_extended_real):
        return None
    is_open = signs[0] in ("<", ">=")
    near = Interval(-bound, bound, is_open, is_open)
    return Region(near if signs[0].startswith("<") else sympy.S.Reals - near, name[1])


def _half(sign: str, bound: Expr, is_left: bool) -> Set:
    if sign == "!=":
        return sympy.S.Reals - FiniteSet(bound)
    if (sign[0] == "<") == is_left:
        return Interval(-sympy.oo, bound, True, sign in "<>")
    return Interval(bound, sympy.oo, sign in "<>", True)
