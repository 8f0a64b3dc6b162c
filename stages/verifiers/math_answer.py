r"""Verifier for mathematics in LaTeX or plain text: is an answer equal to the reference?

math-verify says so. An answer is one expression, bare or in `$…$`, `\(…\)` or `\boxed{…}`; in a
text with several of these the last counts. The library's own timeouts are off: they are signals,
which a computation in C does not hear; a worker is killed.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify
from sympy import Basic, Eq, MatrixBase

from stages.contracts.verdict import Verdict

MAX_ANSWER_CHARACTERS = 2000
MATHEMATICS = LatexExtractionConfig()
DELIMITED = re.compile(r"\$.*\$|\\\(.*\\\)|\\\[.*\\\]|\\boxed\{", re.DOTALL)
PERCENT = re.compile(r"\\?%$")


class MathVerifier:
    """The verifier of a dataset; see `stages.verifiers.registry.Verifier`."""

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """Correct is what math-verify finds equal to the reference.

        An equation of numbers is, if both its sides are.
        """
        expression = read(answer)
        if expression is None:
            return Verdict.UNPARSABLE
        gold = _reference(metadata["answer"])
        sides = (
            expression.args
            if isinstance(expression, Eq) and not expression.free_symbols
            else (expression,)
        )
        is_correct = gold is not None and all(
            verify(gold, side, timeout_seconds=None) for side in sides
        )
        return Verdict.CORRECT if is_correct else Verdict.INCORRECT

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> None:
        """None: free text has no attempt that could be told from the rest."""
        del metadata, segment


def read(text: str) -> Any:
    """The expression of an answer; None where math-verify sees none."""
    if len(text) > MAX_ANSWER_CHARACTERS:
        return None
    parsed = parse(
        delimited(text),
        [MATHEMATICS],
        fallback_mode="no_fallback",
        extraction_mode="first_match",  # else a fraction inside of what cannot be read would count
        parsing_timeout=None,
    )
    return parsed[0] if parsed and isinstance(parsed[0], Basic | MatrixBase) else None


@lru_cache(maxsize=64)
def _reference(text: str) -> Any:
    """A reference answer, read once for all the answers of its group."""
    return read(text)


def delimited(text: str) -> str:
    """A text that holds mathematics in delimiters as it is; another one delimited as a whole."""
    if DELIMITED.search(text):
        return text
    bare = " ".join(text.replace("$", " ").split()).removesuffix(".")
    number = PERCENT.sub("", bare)
    return f"${number}$%" if number != bare else f"${bare}$"
