r"""One expression of numbers and letters, read exactly into sympy.

    sum      = term (("+" | "-") term)*
    term     = factor (("*" | "/" | "\cdot" | "\times" | "\div") factor | factor)*
    factor   = ("+" | "-")* power
    power    = primary ("!" | "^\circ" | "%")* ("^" exponent)?
    exponent = "{" sum "}" | "(" sum ")" | a digit | a letter | a command | a sign and digits
    primary  = number | name | constant | "(" sum ")" | "{" sum "}" | "|" sum "|" | function

Two numbers side by side are no product, and neither is what stands before a number: `x2` and
`(3)2` are not read. `^` and `\sqrt` with more than one digit behind and no braces are not read,
since `x^10` says x to the one times nought in LaTeX and x to the ten elsewhere. A run of letters
is a product of up to three, or the name of a function or constant. Nothing is evaluated as Python;
numbers are rationals; powers and factorials of more bits than `functions` allows are not read.
"""

from collections.abc import Sequence

import sympy
from sympy import Expr, Integer, Rational, Symbol

from stages.verifiers.mathematics.functions import (
    CONSTANTS,
    FUNCTIONS,
    GREEK,
    apply_function,
    binomial,
    factorial,
    power,
    quotient,
)
from stages.verifiers.mathematics.numerals import Unreadable, exact
from stages.verifiers.mathematics.tokens import END, Token, tokens_of

MAX_DEPTH = 40
MAX_PRODUCT_LETTERS = 3
FRACTIONS = ("\\frac", "\\dfrac", "\\tfrac", "\\cfrac")
BINOMIALS = ("\\binom", "\\dbinom", "\\tbinom")
TIMES = ("*", "\\cdot", "\\times", "\\ast")
OVER = ("/", "\\div")
PAIRS = {"(": ")", "{": "}", "|": "|", "\\{": "\\}", "\\lvert": "\\rvert"}
PAIRS |= {"\\lfloor": "\\rfloor", "\\lceil": "\\rceil", "\\vert": "\\vert"}
AROUND = {"|": sympy.Abs, "\\lvert": sympy.Abs, "\\vert": sympy.Abs}
AROUND |= {"\\lfloor": sympy.floor, "\\lceil": sympy.ceiling}


def read_expression(text: str) -> Expr:
    """The expression that a text is.

    Raises:
        Unreadable: it is none.
    """
    reader = _Reader(tokens_of(text))
    value = reader.sum(0)
    if reader.next is not END:
        raise Unreadable(f"{reader.next.text!r} behind an expression")
    return value


class _Reader:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def next(self) -> Token:
        """The token that is not yet read."""
        return self._tokens[self._position] if self._position < len(self._tokens) else END

    def _take(self) -> Token:
        token = self.next
        self._position += 1
        return token

    def _need(self, text: str) -> None:
        if self._take().text != text:
            raise Unreadable(f"no {text!r}")

    def sum(self, depth: int) -> Expr:
        """A sum, to what cannot belong to it."""
        if depth > MAX_DEPTH:
            raise Unreadable("too deep")
        value = self._term(depth)
        while self.next.text in ("+", "-"):
            sign = self._take().text
            term = self._term(depth)
            value = value + term if sign == "+" else value - term
        return value

    def _term(self, depth: int) -> Expr:
        value = self._factor(depth)
        while True:
            if self.next.text in TIMES:
                self._take()
                value = value * self._factor(depth)
            elif self.next.text in OVER:
                self._take()
                value = quotient(value, self._factor(depth))
            elif self._begins_primary(self.next) and not self._is_two_numbers():
                value = value * self._power(depth)
            else:
                return value

    def _begins_primary(self, token: Token) -> bool:
        if token.kind == "command":
            return (
                token.text[1:] in FUNCTIONS
                or token.text in (*FRACTIONS, *BINOMIALS, "\\sqrt", "\\lfloor", "\\lceil")
                or token.text[1:] in (*CONSTANTS, *GREEK)
            )
        return token.kind == "letters" or token.text in ("(", "{")

    def _is_two_numbers(self) -> bool:
        """Digits and right behind them a fraction: no product, and no mixed number either."""
        before = self._tokens[self._position - 1]
        return before.kind == "number" and self.next.text in FRACTIONS

    def _factor(self, depth: int) -> Expr:
        sign = 1
        while self.next.text in ("+", "-"):
            sign = -sign if self._take().text == "-" else sign
        return sign * self._power(depth)

    def _power(self, depth: int) -> Expr:
        base = self._postfixed(self._primary(depth + 1))
        if self.next.text in ("^", "**"):
            is_python = self._take().text == "**"
            return self._postfixed(power(base, self._exponent(depth + 1, is_python)))
        return base

    def _postfixed(self, value: Expr) -> Expr:
        while True:
            text = self.next.text
            following = [token.text for token in self._tokens[self._position : self._position + 4]]
            if text == "!":
                self._take()
                value = factorial(value)
            elif following[:2] == ["^", "\\circ"] or following == ["^", "{", "\\circ", "}"]:
                self._position += 2 if following[1] == "\\circ" else 4
                value = value * sympy.pi / 180
            else:
                return value

    def _exponent(self, depth: int, is_python: bool) -> Expr:
        if self.next.text in ("{", "("):
            return self._primary(depth)
        sign = 1
        is_signed = self.next.text in ("+", "-")
        if is_signed:
            sign = -1 if self._take().text == "-" else 1
        token = self.next
        if token.kind == "number" and len(token.text) > 1 and not (is_signed or is_python):
            raise Unreadable(f"^{token.text} without braces")
        if token.kind == "letters" and len(token.text) > 1:
            raise Unreadable(f"^{token.text} without braces")
        return sign * self._primary(depth)

    def _primary(self, depth: int) -> Expr:
        token = self._take()
        if token.kind == "number":
            number = exact(token.text)
            return Rational(number.numerator, number.denominator)
        if token.kind == "letters":
            return self._letters(token, depth)
        if token.text in PAIRS:
            value = self.sum(depth)
            self._need(PAIRS[token.text])
            return AROUND[token.text](value) if token.text in AROUND else value
        if token.text in FRACTIONS:
            return quotient(self._argument(depth), self._argument(depth))
        if token.text in BINOMIALS:
            return binomial(self._argument(depth), self._argument(depth))
        if token.text == "\\sqrt":
            return self._root(depth)
        if token.text in ("\\mathrm", "\\mathbf", "\\mathit"):
            return self._argument(depth)
        if token.kind == "command":
            return self._named(token.text[1:], depth)
        raise Unreadable(f"{token.text!r} in an expression")

    def _letters(self, token: Token, depth: int) -> Expr:
        if token.text in FUNCTIONS or token.text in CONSTANTS or token.text in GREEK:
            return self._named(token.text, depth)
        if token.text == "sqrt":
            return self._root(depth)
        if len(token.text) > MAX_PRODUCT_LETTERS:
            raise Unreadable(f"the word {token.text[:20]}")
        first, last = token.text[:-1], token.text[-1]
        value = sympy.Mul(*map(_letter, first))
        if self.next.text == "^":
            return value * power(_letter(last), self._exponent_behind(depth))
        return value * self._subscripted(last)

    def _exponent_behind(self, depth: int) -> Expr:
        self._take()
        return self._exponent(depth, is_python=False)

    def _subscripted(self, name: str) -> Expr:
        if self.next.text != "_":
            return _letter(name)
        self._take()
        token = self._take()
        parts = [token.text]
        if token.text == "{":
            parts = []
            while self.next.text not in ("}", "") and len(parts) < MAX_DEPTH:
                parts.append(self._take().text)
            self._need("}")
        is_plain = token.kind in ("number", "letters", "command") and len(token.text) == 1
        if not parts or not (token.text == "{" or token.kind == "command" or is_plain):
            raise Unreadable(f"_{token.text} without braces")
        return Symbol(f"{name}_{''.join(parts)}")

    def _named(self, name: str, depth: int) -> Expr:
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in GREEK:
            return self._subscripted(name)
        if name not in FUNCTIONS:
            raise Unreadable(f"\\{name[:20]}")
        base, exponent = None, None
        if name == "log" and self.next.text == "_":
            self._take()
            base = self._argument(depth)
        if self.next.text == "^":
            exponent = self._exponent_behind(depth)
        value = apply_function(name, self._function_argument(depth), base, exponent == -1)
        return value if exponent is None or exponent == -1 else power(value, exponent)

    def _function_argument(self, depth: int) -> Expr:
        """What stands in brackets, or the factors up to a sign or the next function."""
        if self.next.text in ("(", "{"):
            return self._power(depth) if self.next.text == "{" else self._primary(depth)
        value = self._power(depth)
        while self._begins_primary(self.next) and self.next.text.lstrip("\\") not in FUNCTIONS:
            if self._is_two_numbers() or self.next.text == "(":
                break
            value = value * self._power(depth)
        return value

    def _root(self, depth: int) -> Expr:
        degree: Expr = Integer(2)
        if self.next.text == "[":
            self._take()
            degree = self.sum(depth)
            self._need("]")
        return power(self._argument(depth), quotient(Integer(1), degree))

    def _argument(self, depth: int) -> Expr:
        """What a command is given: in braces or brackets, a letter, a command, or one digit."""
        token = self.next
        if token.kind == "number" and not token.text.isdigit():
            raise Unreadable(f"{token.text} without braces")
        if token.kind == "number" and len(token.text) > 1:
            before = self._tokens[self._position - 1].text
            if before not in FRACTIONS or len(token.text) != 2:
                raise Unreadable(f"{token.text} without braces")
            return self._split_digits(token)
        if token.kind == "letters" and len(token.text) > 1:
            raise Unreadable(f"{token.text} without braces")
        return self._primary(depth)

    def _split_digits(self, token: Token) -> Expr:
        r"""The first digit of `\frac12`; the second stays."""
        self._tokens = [*self._tokens]
        self._tokens[self._position] = Token("number", token.text[1], False)
        return Integer(int(token.text[0]))


def _letter(name: str) -> Expr:
    return CONSTANTS.get(name) or Symbol(name)
