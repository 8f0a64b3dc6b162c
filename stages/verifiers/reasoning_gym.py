"""Verifier for any reasoning-gym family: the family's own `score_answer`, disarmed.

Four families call Python's `eval` on an answer, for partial credit, which they do not give here:
they lose `eval`. Five hand it to sympy's parser, which does the same: they see nothing but
formulas. Some give full score to answers that are wrong, as `benchmarks.reasoning_gym_answers`
measures over all families: they get a condition more. Those of one right answer must have it, in
any case and spacing; those of several must be made of what such an answer is made of.
"""

import re
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any, NoReturn

from stages.contracts.params.task import ReasoningGymTask
from stages.contracts.verdict import Verdict, Verification
from stages.tasks.families import (
    CORRECT_SCORE,
    EVAL_FAMILIES,
    EXACT_FAMILIES,
    is_readable,
    load_dataset,
    reference_answer,
    unpack,
)

COIN_TOLERANCE = 1e-4
DECIMAL = r"-?\d+(?:\.\d+)?"
TURN = r"[UDLRFBMESudlrfbxyz]w?(?:2'?|'2?)?"
SHAPES = {
    "kakurasu": r"[01]+(?:\s+[01]+)*",
    "polynomial_equations": rf"{DECIMAL}(?:,\s*{DECIMAL})*",
    "quantum_lock": r"[A-Z](?:\s*→\s*[A-Z])*",
    "rubiks_cube": rf"{TURN}(?:\s+{TURN})*",
    "sokoban": r"[UDLR]+",
    "survo": r"-?\d+(?:\s+-?\d+)*",
    "tower_of_hanoi": r"Move disk \d+ from Peg \d+ to Peg \d+"
    r"(?:\s*\n\s*Move disk \d+ from Peg \d+ to Peg \d+)*",
}
"""What the whole of an answer is made of, in ASCII digits."""


def _is_same_word(answer: str, entry: Mapping[str, Any]) -> bool:
    """The scorer takes any text at all for `True`, and for `False` too."""
    return answer.strip() == str(entry["answer"])


def _uses_given_numbers(answer: str, entry: Mapping[str, Any]) -> bool:
    """The scorer takes any four numbers that make 24."""
    return sorted(map(int, re.findall(r"[0-9]+", answer))) == sorted(entry["metadata"]["numbers"])


def _is_a_number(answer: str, entry: Mapping[str, Any]) -> bool:
    """The scorer finds every number at full score from `nan`."""
    del entry
    return "nan" not in answer.lower()


def _is_near(answer: str, entry: Mapping[str, Any]) -> bool:
    """The scorer takes any first digits, `0` among them, for the whole probability."""
    said, right = (float(Fraction(text.replace(",", ""))) for text in (answer, entry["answer"]))
    return abs(said - right) <= COIN_TOLERANCE


def _is_reference(answer: str, entry: Mapping[str, Any]) -> bool:
    """The scorer takes the reference with anything behind it, before it, or in its place."""
    reference = reference_answer(entry)
    return reference is not None and _normal(answer) == _normal(reference)


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold()


def _has_shape(shape: str, answer: str, entry: Mapping[str, Any]) -> bool:
    """The scorer passes over what is no part of an answer."""
    del entry
    return re.fullmatch(shape, answer.strip(), re.ASCII) is not None


CONDITIONS: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "coin_flip": _is_near,
    "complex_arithmetic": _is_a_number,
    "game_of_life_halting": _is_same_word,
    "puzzle24": _uses_given_numbers,
    **dict.fromkeys(EXACT_FAMILIES, _is_reference),
    **{family: partial(_has_shape, shape) for family, shape in SHAPES.items()},
}


class ReasoningGymVerifier:
    """The verifier of one family; see `stages.verifiers.registry.Verifier`."""

    def __init__(self, params: ReasoningGymTask) -> None:
        self._family = params.family
        self._partial_credit = params.partial_credit
        self._condition = CONDITIONS.get(params.family, lambda answer, entry: True)
        self._datasets = {
            tier.difficulty: load_dataset(params, tier, size=1) for tier in params.tiers
        }
        if params.family in EVAL_FAMILIES:
            for dataset in self._datasets.values():
                vars(sys.modules[type(dataset).__module__])["eval"] = _refuse

    def verify(self, metadata: Mapping[str, Any], answer: str) -> Verdict | Verification:
        """Correct only at the family's full score.

        With `partial_credit` a wrong answer earns what score it has.
        """
        if not is_readable(self._family, answer):
            return Verdict.UNPARSABLE
        dataset = self._datasets[metadata["difficulty"]]
        entry = unpack(metadata["entry"])
        try:
            score = dataset.score_answer(answer, entry)
        except (MemoryError, RecursionError):
            raise
        except (
            Exception
        ):  # the family accepts its own reference answer, so it is this text that it cannot read
            return Verdict.UNPARSABLE
        if score >= CORRECT_SCORE:
            return Verdict.CORRECT if self._condition(answer, entry) else Verdict.INCORRECT
        return (
            Verification(Verdict.INCORRECT, float(score))
            if self._partial_credit
            else Verdict.INCORRECT
        )

    def verify_attempt(self, metadata: Mapping[str, Any], segment: str) -> None:
        """None: free text has no attempt that could be told from the rest."""
        del metadata, segment


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{len(text)} characters of an answer are not evaluated")
