"""The things to tamper with, and what a kind of tampering is.

Paths are those of the tiny project, whose last policy is `s1`; each module has kinds of one sort.
"""

from collections.abc import Callable
from pathlib import Path

ROUND = "data/rounds/s1"
ROLLOUTS, SCORES = f"{ROUND}/rollouts.parquet", f"{ROUND}/scores.parquet"
SEGMENTS, PROBES = f"{ROUND}/segments.parquet", f"{ROUND}/probes.parquet"
ADVANTAGES = f"{ROUND}/advantages.parquet"
GAINS, LEDGER = f"{ROUND}/gains.parquet", f"{ROUND}/ledger.parquet"
DEMOS, PROBLEMS = "data/demos/r0.parquet", "data/problems.parquet"
POLICY, WEIGHTS = "data/policies/s1", "data/policies/s1/model.safetensors"
ANSWERS, GRADES = "data/exams/s1/answers.parquet", "data/exams/s1/grades.parquet"
THOUGHTS = "data/exams/s1/thoughts.parquet"
UPDATED, EXAMINED = "data/metrics/updates/s1.json", "data/metrics/exams/s1.json"
LISTING, CODE = "data/code/update.json", "stages/pure/credit.py"
"""The listing of the step that trained it, and a file in it."""
ATTESTED = "data/attestations/s1"

Tamper = Callable[[Path], None]
KINDS: dict[str, tuple[str, Tamper]] = {}
"""Every kind by its name, with the check that must find it."""


def kind(check: str) -> Callable[[Tamper], Tamper]:
    """Register a kind of tampering, and the check that must find it."""

    def register(tamper: Tamper) -> Tamper:
        KINDS[tamper.__name__] = (check, tamper)
        return tamper

    return register
