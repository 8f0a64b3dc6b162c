"""Names that an expression may hold: constants, Greek letters, functions of one argument."""

import sympy
from sympy import Expr, Symbol

UNKNOWN_BASE = Symbol("base of log", positive=True)
"""Of a `log` without a base: books mean ten, e or two. What holds for any base holds."""

CONSTANTS: dict[str, Expr] = {
    "pi": sympy.pi,
    "e": sympy.E,
    "i": sympy.I,
    "infty": sympy.oo,
    "infinity": sympy.oo,
    "Infinity": sympy.oo,
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
