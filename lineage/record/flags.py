"""The flags of steps, by which the audit knows tables: what each step read and wrote.

dvc.lock has the command of every step that ran. The audit finds `--demos data/demos/r0.parquet` in
it and so knows which table holds demonstrations, in any commit. Flags are thus a schema: renaming
one in dvc.yaml would blind the audit of all that was made before. `tests/lineage/record` holds this
list to dvc.yaml.
"""

from enum import StrEnum


class Flag(StrEnum):
    """A flag without its dashes."""

    ADVANTAGES = "advantages"
    ANSWERS = "answers"
    BASE = "base"
    COMPARISONS = "comparisons"
    DEMOS = "demos"
    GAINS = "gains"
    GRADES = "grades"
    JUDGE = "judge"
    LEDGER = "ledger"
    METRICS = "metrics"
    NEXT_POLICY = "next_policy"
    POLICY = "policy"
    PROBES = "probes"
    PROBLEMS = "problems"
    REFERENCE = "reference"
    ROLLOUTS = "rollouts"
    SCORES = "scores"
    SEGMENTS = "segments"
    TEXT_FORMAT = "text_format"
    THOUGHTS = "thoughts"
    VALIDATION = "validation"


READ_OF: dict[str, tuple[Flag, ...]] = {
    "prepare": (Flag.PROBLEMS,),
    "demonstrate": (Flag.PROBLEMS, Flag.DEMOS),
    "sft": (Flag.PROBLEMS, Flag.DEMOS, Flag.POLICY),
    "judge": (Flag.BASE, Flag.ROLLOUTS, Flag.JUDGE),
    "rollout": (Flag.POLICY, Flag.PROBLEMS, Flag.ROLLOUTS),
    "score": (Flag.JUDGE, Flag.SCORES, Flag.SEGMENTS),
    "probe": (Flag.PROBES,),
    "infogain": (Flag.GAINS,),
    "validate": (
        *(Flag.PROBLEMS, Flag.TEXT_FORMAT, Flag.POLICY, Flag.ROLLOUTS, Flag.SCORES, Flag.SEGMENTS),
        *(Flag.PROBES, Flag.GAINS, Flag.VALIDATION),
    ),
    "update": (
        *(Flag.POLICY, Flag.REFERENCE, Flag.ROLLOUTS),
        *(Flag.NEXT_POLICY, Flag.LEDGER, Flag.ADVANTAGES, Flag.METRICS),
    ),
    "examine": (Flag.PROBLEMS, Flag.ANSWERS, Flag.THOUGHTS),
    "grade": (Flag.PROBLEMS, Flag.JUDGE, Flag.GRADES),
    "evaluate": (Flag.GRADES, Flag.METRICS),
    "compare": (Flag.COMPARISONS,),
}
"""The flags that the audit reads, by step. Without `grade`, `evaluate` writes the grades."""
EXAM_STEPS = ("examine", "grade", "evaluate")
"""The steps of a policy's exam: it was made without them."""
