"""Whether two readings are one answer.

Numbers are equal exactly, however small their difference: as rationals; else as sympy simplifies
their difference; else by 1,000 digits. Expressions of names are equal where they are at several
points, as such numbers. An answer may leave out the unit and the name (`x =`) of the reference, and
give a name where the reference has none; a unit that the reference does not have makes it another.
"""

from collections.abc import Sequence

import sympy
from sympy import Expr, Symbol

from stages.verifiers.mathematics.readings import (
    Brackets,
    Clock,
    Literal,
    Matrix,
    Ratio,
    Reading,
    Region,
    Relation,
    Several,
    Sides,
    Value,
    Word,
)
from stages.verifiers.mathematics.regions import interval
from stages.verifiers.mathematics.sameness import is_same_number, points

NO_SOLUTION = ("no solution", "no solutions", "no real solution", "no real solutions", "empty set")


def is_same(reference: Reading, answer: Reading) -> bool:
    """Whether an answer is the reference."""
    if isinstance(answer, Sides):
        return all(is_same(reference, Value(side)) for side in answer.values)
    if isinstance(reference, Sides):
        return is_same(Value(reference.values[-1]), answer)
    if isinstance(reference, Region) or isinstance(answer, Region):
        return _is_same_region(reference, answer)
    if isinstance(reference, Several) or isinstance(answer, Several):
        return _in_any_order(_several(reference), _several(answer))
    if isinstance(reference, Ratio) or isinstance(answer, Ratio):
        return _is_same_ratio(reference, answer)
    if isinstance(reference, Relation) or isinstance(answer, Relation):
        return _is_same_relation(reference, answer)
    if isinstance(reference, Word) != isinstance(answer, Word):
        return _is_product(reference, answer)
    if isinstance(reference, Value) and isinstance(answer, Value):
        return _is_same_value(reference, answer)
    if isinstance(reference, Brackets) and isinstance(answer, Brackets):
        has_same_shape = (reference.opening, reference.closing) == (answer.opening, answer.closing)
        return has_same_shape and _in_order(reference.items, answer.items)
    if isinstance(reference, Matrix) and isinstance(answer, Matrix):
        return len(reference.rows) == len(answer.rows) and all(
            _in_order(one, other) for one, other in zip(reference.rows, answer.rows, strict=True)
        )
    if isinstance(reference, Word | Literal | Clock):
        return reference == answer
    return False


def _is_same_value(reference: Value, answer: Value) -> bool:
    if reference.name and answer.name and reference.name != answer.name:
        return False
    if reference.unit == answer.unit or answer.unit is None:
        if is_same_number(reference.expression, answer.expression):
            return True
    elif (reference.unit is None and answer.is_unit_doubtful) and is_same_number(
        reference.expression, answer.expression
    ):
        return True
    one, other = _as_factor(reference, answer), _as_factor(answer, reference)
    return (one is not None or other is not None) and is_same_number(
        reference.expression if one is None else one, answer.expression if other is None else other
    )


def _as_factor(value: Value, other: Value) -> Expr | None:
    """A value in a unit as what it is beside one without: an angle's number, `5 m` beside `5m`."""
    if value.unit is None or other.unit is not None:
        return None
    if value.unit == "degree":
        return value.expression * sympy.pi / 180
    factor = Symbol(value.unit)
    return value.expression * factor if factor in other.expression.free_symbols else None


def _is_product(reference: Reading, answer: Reading) -> bool:
    """Whether one is a word of a product's letters and the other that product, in signs."""
    word, value = (reference, answer) if isinstance(reference, Word) else (answer, reference)
    if not isinstance(word, Word) or not isinstance(value, Value) or len(word.text) > 3:
        return False
    return value.unit is None and is_same_number(
        sympy.Mul(*map(Symbol, word.text)), value.expression
    )


def _several(reading: Reading) -> Sequence[Reading]:
    return reading.items if isinstance(reading, Several) else (reading,)


def _in_order(ones: Sequence[Reading], others: Sequence[Reading]) -> bool:
    return len(ones) == len(others) and all(map(is_same, ones, others))


def _in_any_order(ones: Sequence[Reading], others: Sequence[Reading]) -> bool:
    if len(ones) != len(others):
        return False
    left = list(others)
    for one in ones:
        match = next((index for index, other in enumerate(left) if is_same(one, other)), None)
        if match is None:
            return False
        del left[match]
    return True


def _is_same_region(reference: Reading, answer: Reading) -> bool:
    one, other = _region(reference), _region(answer)
    if one is None or other is None:
        return False
    if one.name and other.name and one.name != other.name:
        return False
    return one.numbers == other.numbers or _is_empty(one, other)


def _is_empty(one: Region, other: Region) -> bool:
    difference = sympy.SymmetricDifference(one.numbers, other.numbers).doit()
    return bool(difference == sympy.S.EmptySet)


def _region(reading: Reading) -> Region | None:
    """The region that a reading is, or may be taken for."""
    if isinstance(reading, Region):
        return reading
    if isinstance(reading, Several):  # (0, 1) or (2, 3)
        regions = [region for region in map(_region, reading.items) if region]
        names = {region.name for region in regions if region.name}
        if len(regions) < len(reading.items) or len(names) > 1:
            return None
        return Region(sympy.Union(*(region.numbers for region in regions)), *names)
    if isinstance(reading, Word) and reading.text in NO_SOLUTION:
        return Region(sympy.S.EmptySet)
    if isinstance(reading, Brackets) and len(reading.items) == 2:
        low, high = reading.items
        if isinstance(low, Value) and isinstance(high, Value):
            numbers = interval(reading.opening, low.expression, high.expression, reading.closing)
            return None if numbers is None else Region(numbers)
    return None


def _is_same_ratio(reference: Reading, answer: Reading) -> bool:
    one, other = _parts(reference), _parts(answer)
    if one is None or other is None or len(one) != len(other):
        return False
    return all(
        is_same_number(one[0] * right, other[0] * left)
        for left, right in zip(one[1:], other[1:], strict=True)
    )


def _parts(reading: Reading) -> Sequence[Expr] | None:
    """The parts of a ratio; of a time that stands for one; a number and 1."""
    if isinstance(reading, Ratio):
        return reading.parts
    if isinstance(reading, Value) and reading.unit is None and reading.expression.is_number:
        return (reading.expression, sympy.Integer(1))
    return None


def _is_same_relation(reference: Reading, answer: Reading) -> bool:
    one, other = _relation(reference), _relation(answer)
    if one is None or other is None or one.sign != other.sign:
        return False
    left, right = one.left - one.right, other.left - other.right
    names = sorted((left.free_symbols | right.free_symbols), key=str)
    for point in points(names):
        at_left, at_right = left.subs(point), right.subs(point)
        if at_left.is_zero is False and at_right.is_zero is False:
            factor = at_left / at_right
            is_fair = one.sign in ("=", "!=") or bool(factor.is_positive)
            return is_fair and is_same_number(left, factor * right)
    return False


def _relation(reading: Reading) -> Relation | None:
    if isinstance(reading, Relation):
        return reading
    if isinstance(reading, Value) and reading.name and len(reading.name) == 1:
        return Relation("=", Symbol(reading.name), reading.expression)
    return None
