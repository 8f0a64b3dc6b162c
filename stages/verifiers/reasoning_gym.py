"""Verifier for any reasoning-gym family: the family's own `score_answer`, disarmed.

Four families call Python's `eval` on an answer, for partial credit that does not count here, and five hand it to
sympy's parser, which does the same. The former lose `eval`; the latter see nothing but formulas.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from stages.contracts.params import ReasoningGymTask
from stages.tasks.families import CORRECT_SCORE, load_dataset, unpack
from stages.verifiers.verdict import Verdict

EVALUATED = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")
FORMULAS = ("countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration")
FUNCTIONS = {
    "abs",
    "Abs",
    "acos",
    "asin",
    "atan",
    "cos",
    "cosh",
    "exp",
    "ln",
    "log",
    "pi",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
}


class ReasoningGymVerifier:
    """The verifier of one family; see `stages.verifiers.registry.Verifier`."""

    def __init__(self, params: ReasoningGymTask) -> None:
        self._is_formula = params.family in FORMULAS
        self._datasets = {tier.difficulty: load_dataset(params, tier, size=1) for tier in params.tiers}
        if params.family in EVALUATED:
            for dataset in self._datasets.values():
                vars(sys.modules[type(dataset).__module__])["eval"] = _refuse

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """Correct only at the family's full score."""
        if not answer.strip() or (self._is_formula and not is_formula(answer)):
            return Verdict.UNPARSABLE
        dataset = self._datasets[metadata["difficulty"]]
        entry = unpack(metadata["entry"])
        try:
            score = dataset.score_answer(answer, entry)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # the family accepts its own reference answer, so it is this text that it cannot read
            return Verdict.UNPARSABLE
        return Verdict.CORRECT if score >= CORRECT_SCORE else Verdict.INCORRECT

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> None:
        """None: free text has no attempt that could be told from the rest."""
        del metadata, segment


def is_formula(text: str) -> bool:
    """Whether a text is numbers, one-letter names, known functions, brackets and + - * / ^, all of it ASCII."""
    if re.fullmatch(r"[0-9A-Za-z\s.+\-*/^()]*", text, re.ASCII) is None:
        return False
    return all(len(word) == 1 or word in FUNCTIONS for word in re.findall(r"[A-Za-z][0-9A-Za-z]*", text))


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{len(text)} characters of an answer are not evaluated")
