"""Verifier for any reasoning-gym family: the family's own `score_answer`, disarmed.

Four families call Python's `eval` on an answer, for partial credit that does not count here: they lose `eval`. Five
hand it to sympy's parser, which does the same: they see nothing but formulas.
"""

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from stages.contracts.task_params import ReasoningGymTask
from stages.tasks.families import CORRECT_SCORE, is_readable, load_dataset, unpack
from stages.verifiers.verdict import Verdict

EVAL_FAMILIES = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")


class ReasoningGymVerifier:
    """The verifier of one family; see `stages.verifiers.registry.Verifier`."""

    def __init__(self, params: ReasoningGymTask) -> None:
        self._family = params.family
        self._datasets = {tier.difficulty: load_dataset(params, tier, size=1) for tier in params.tiers}
        if params.family in EVAL_FAMILIES:
            for dataset in self._datasets.values():
                vars(sys.modules[type(dataset).__module__])["eval"] = _refuse

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict:
        """Correct only at the family's full score."""
        if not is_readable(self._family, answer):
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


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{len(text)} characters of an answer are not evaluated")
