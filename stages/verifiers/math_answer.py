r"""Verifier for mathematics in LaTeX or plain text: is an answer equal to the reference?

An answer is read by a grammar of its own (`stages.verifiers.mathematics.answers`) before anything
is computed, and what stands outside of it is `unparsable`; sympy computes, exactly; math-verify is
asked for integrals, sums and limits. Nothing has a time limit here: a worker is killed.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from stages.contracts.verdict import Verdict
from stages.verifiers.mathematics.answers import read
from stages.verifiers.mathematics.equality import is_same
from stages.verifiers.mathematics.readings import Reading


class MathVerifier:
    """The verifier of a dataset; see `stages.verifiers.registry.Verifier`."""

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """Correct is what is equal to the reference."""
        reading = read(answer)
        if reading is None:
            return Verdict.UNPARSABLE
        reference = _reference(metadata["answer"])
        is_correct = reference is not None and is_same(reference, reading)
        return Verdict.CORRECT if is_correct else Verdict.INCORRECT

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> None:
        """None: free text has no attempt that could be told from the rest."""
        del metadata, segment


@lru_cache(maxsize=64)
def _reference(text: str) -> Reading | None:
    """A reference answer, read once for all the answers of its group."""
    return read(text)
