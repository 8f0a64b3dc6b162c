"""What an expression may hold: constants, functions of one argument, operations of bounded size."""

import sympy
from sympy import Expr, Rational, Symbol

from stages.verifiers.mathematics.numerals import Unreadable

MAX_BITS = 200_000
MAX_FACTORIAL = 5000

UNKNOWN_BASE = Symbol("base of log", positive=True)
"""Of a `log` without a base: books mean ten, e or two. What holds for any base holds."""

CONSTANTS: dict[str, Expr] = {
    "pi": sympy.pi,
    "e": sympy.E,
    "i": sympy.I,
    "infty": sympy.oo,
    "infinity": sympy.oo,
    "Infinity": sympy.oo,
    "inf": sympy.oo,
    "oo": sympy.oo,
}
GREEK = (
    *("alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta"),
    *("kappa", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi"),
    *("omega", "Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega", "ell"),
)
FUNCTIONS = {
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "cot": sympy.cot,
    "sec": sympy.sec,
    "csc": sympy.csc,
    "arcsin": sympy.asin,
    "arccos": sympy.acos,
    "arctan": sympy.atan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "ln": sympy.log,
    "exp": sympy.exp,
    "abs": sympy.Abs,
    "log": sympy.log,
    "lg": sympy.log,
}
INVERSES = {
    "sin": sympy.asin,
    "cos": sympy.acos,
    "tan": sympy.atan,
    "cot": sympy.acot,
    "sec": sympy.asec,
    "csc": sympy.acsc,
}


def apply_function(name: str, argument: Expr, base: Expr | None, is_inverse: bool) -> Expr:
    """The function of an argument; `is_inverse` where it is raised to -1, which means that."""
    if name == "log":
        return sympy.log(argument) / sympy.log(UNKNOWN_BASE if base is None else base)
    if name == "lg":
        return sympy.log(argument) / sympy.log(10)
    if is_inverse and name in INVERSES:
        return INVERSES[name](argument)
    value = FUNCTIONS[name](argument)
    return 1 / value if is_inverse else value


def quotient(above: Expr, below: Expr) -> Expr:
    """A quotient.

    Raises:
        Unreadable: by zero.
    """
    if below.is_zero:
        raise Unreadable("division by zero")
    return above / below


def binomial(above: Expr, below: Expr) -> Expr:
    """A binomial coefficient.

    Raises:
        Unreadable: of no small natural numbers.
    """
    if not all(part.is_Integer and 0 <= part <= MAX_FACTORIAL for part in (above, below)):
        raise Unreadable("a binomial of no small numbers")
    return sympy.binomial(above, below)


def factorial(value: Expr) -> Expr:
    """The factorial of a small natural number, or of a letter.

    Raises:
        Unreadable: of another number.
    """
    if value.is_number and not (value.is_Integer and 0 <= value <= MAX_FACTORIAL):
        raise Unreadable("the factorial of no small number")
    return sympy.factorial(value)


def power(base: Expr, exponent: Expr) -> Expr:
    """A power of bounded size.

    Raises:
        Unreadable: it has more than `MAX_BITS` bits, or is none.
    """
    if base.is_zero and not exponent.is_positive:
        raise Unreadable("no power of zero")
    if base.is_number and exponent.is_number:
        size = exponent if exponent.is_Rational else exponent.evalf(15)
        if not size.is_finite or abs(sympy.re(size)) * _bits(base) > MAX_BITS:
            raise Unreadable("too large a power")
    elif exponent.is_Rational and abs(exponent) > MAX_BITS:
        raise Unreadable("too large a power")
    return base**exponent


def _bits(base: Expr) -> int:
    if base.is_Rational:
        return max(abs(int(base.p)).bit_length(), int(base.q).bit_length())
    return max(sum(_bits(atom) for atom in base.atoms(Rational)), 1)
