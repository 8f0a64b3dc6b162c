"""What an answer can be, once it is read."""

from dataclasses import dataclass

from sympy import Expr, Set


@dataclass(frozen=True)
class Value:
    """An expression, in a unit or in none, of a name or of none (`x = 4`).

    A sign of money that may be half of a delimiter is a unit that need not be meant.
    """

    expression: Expr
    unit: str | None = None
    name: str | None = None
    is_unit_doubtful: bool = False


@dataclass(frozen=True)
class Sides:
    """Numbers said to be equal: `2 + 2 = 4`."""

    values: tuple[Expr, ...]


@dataclass(frozen=True)
class Word:
    """Words, in small letters and single blanks."""

    text: str


@dataclass(frozen=True)
class Literal:
    """A date, a range of numbers, digits joined by hyphens: equal to its like alone."""

    kind: str
    parts: tuple[object, ...]


@dataclass(frozen=True)
class Clock:
    """A time of day in seconds; without a.m. or p.m. it may also be two parts of a ratio."""

    seconds: int


@dataclass(frozen=True)
class Ratio:
    """Parts of a whole, in proportion."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True)
class Brackets:
    """A point or a list: elements in their order, and the brackets around them."""

    opening: str
    items: tuple["Reading", ...]
    closing: str


@dataclass(frozen=True)
class Several:
    """Answers in any order: a list without brackets, a set, alternatives."""

    items: tuple["Reading", ...]


@dataclass(frozen=True)
class Region:
    """A set of real numbers, of a name or of none."""

    numbers: Set
    name: str | None = None


@dataclass(frozen=True)
class Relation:
    """An equation or an inequality that is solved for nothing."""

    sign: str
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Matrix:
    """Rows of elements."""

    rows: tuple[tuple["Reading", ...], ...]


Reading = (
    Value | Sides | Word | Literal | Clock | Ratio | Brackets | Several | Region | Relation | Matrix
)
