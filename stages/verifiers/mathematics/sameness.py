"""Whether two expressions are equal, exactly."""

from collections.abc import Iterator, Sequence

import sympy
from sympy import Basic, Expr, Rational

FEW_DIGITS, MANY_DIGITS = 60, 1000
NUM_POINTS = 6
MIN_POINTS = 3
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)


def is_same_number(one: Expr, other: Expr) -> bool:
    """Whether two expressions are equal, wherever both are defined."""
    if one == other:
        return True
    names = sorted(one.free_symbols | other.free_symbols, key=str)
    if not names:
        return _is_same_constant(one, other)
    if sympy.expand(one - other) == 0:
        return True
    num_equal = 0
    for point in points(names):
        left, right = one.subs(point), other.subs(point)
        if not (_is_finite(left) and _is_finite(right)):
            continue
        if not _is_same_constant(left, right):
            return False
        num_equal += 1
    return num_equal >= MIN_POINTS


def points(names: Sequence[Basic]) -> Iterator[dict[Basic, Rational]]:
    """Values for names: fractions of primes, of both signs."""
    for number in range(NUM_POINTS):
        yield {
            name: Rational(
                (-1) ** (number // 2 + index) * PRIMES[(5 * number + index) % len(PRIMES)],
                PRIMES[(3 * number + 2 * index + 1) % len(PRIMES)] + 1,
            )
            for index, name in enumerate(names)
        }


def _is_finite(value: Expr) -> bool:
    return not value.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)


def _is_same_constant(one: Expr, other: Expr) -> bool:
    if one.is_Rational and other.is_Rational:
        return bool(one == other)
    if not (_is_finite(one) and _is_finite(other)):
        return bool(one == other)
    difference = one - other
    if difference == 0:
        return True
    if _is_apart(difference, one, FEW_DIGITS):
        return False
    return sympy.simplify(difference) == 0 or not _is_apart(difference, one, MANY_DIGITS)


def _is_apart(difference: Expr, one: Expr, num_digits: int) -> bool:
    """Whether so many digits tell two numbers apart."""
    scale = abs(one.evalf(15)) + sympy.Float(1, 15) * 0
    found = abs(difference.evalf(num_digits, maxn=20 * num_digits))
    bound = (scale if scale != 0 else sympy.Float(1)) * sympy.Float(10) ** (5 - num_digits)
    return bool(found > bound)
