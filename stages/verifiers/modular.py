"""Verifier for modular products: is this word the residue of the factors' product?

Nothing is ever evaluated.
"""

import math
from collections.abc import Mapping
from typing import Any

from stages.contracts.verdict import Verdict
from stages.verifiers.expression import is_number


class ModularVerifier:
    """The verifier of the task `modular`; see `stages.verifiers.registry.Verifier`."""

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """Correct is the residue from 0 to modulus - 1, no other number congruent to it."""
        words = answer.split()
        if len(words) != 1 or not is_number(words[0]):
            return Verdict.UNPARSABLE
        product = math.prod(metadata["factors"])
        return (
            Verdict.CORRECT if int(words[0]) == product % metadata["modulus"] else Verdict.INCORRECT
        )

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> Verdict:
        """Verify the residue before the segment's verdict marker."""
        return self.verify(metadata, segment)
