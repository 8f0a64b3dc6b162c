"""An expression cut into tokens: numbers, commands, runs of letters, signs."""

import re
from typing import NamedTuple

from stages.verifiers.mathematics.numerals import Unreadable

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*|\.\d+)|(?P<command>\\[A-Za-z]+|\\[{}|])|(?P<letters>[A-Za-z]+)"
    r"|(?P<sign>\*\*|[-+*/^_!(){}\[\]|]))"
)
MAX_TOKENS = 600


class Token(NamedTuple):
    """A kind (`number`, `command`, `letters`, `sign`), the text, and whether a blank is before."""

    kind: str
    text: str
    is_spaced: bool


END = Token("end", "", False)


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text.

    Raises:
        Unreadable: something else stands in it, or it is too long.
    """
    tokens: list[Token] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        found = TOKEN.match(text, position)
        if found is None or found.lastgroup is None or len(tokens) == MAX_TOKENS:
            raise Unreadable(f"at {text[position : position + 20]!r}")
        word = found[found.lastgroup]
        tokens.append(Token(found.lastgroup, word, found.start(found.lastgroup) > position))
        position = found.end()
    return tokens
