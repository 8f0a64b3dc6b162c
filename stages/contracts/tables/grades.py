"""Table `grades`: one (problem, temperature, sample, budget) of an exam, judged a row."""

from stages.contracts.storage.contract import FLAG, FLOAT, INT, TEXT, column, define
from stages.contracts.tables.conversions import TEMPERATURE_OF_OLDER

GRADES = define(
    "grades",
    "one (problem, temperature, sample, budget) of an exam, judged",
    ["problem_id", "temperature", "sample_index", "budget_tokens"],
    column("problem_id", TEXT, "problem asked"),
    column(
        "split",
        TEXT,
        "`heldout`; `reserved` for those that choose the temperature, `train` for those that "
        "measure memorisation",
    ),
    column("difficulty", INT, "structural tier of the problem"),
    column("temperature", FLOAT, "sampling temperature"),
    column("sample_index", INT, "0-based sample of the problem"),
    column("budget_tokens", INT, "thinking tokens allowed"),
    column("used_tokens", INT, "thinking tokens used"),
    column("is_forced", FLAG, "whether the answer was forced at the budget"),
    column("verdict", TEXT, "correct, incorrect, unparsable, timeout or error"),
    column("reward", FLOAT, "1 correct, 0 not; null where the verifier failed", nullable=True),
    column("answer", TEXT, "text after the cue"),
    column(
        "judge_score",
        FLOAT,
        "what the exam's judge gives the answer; null where `exact` judges",
        nullable=True,
    ),
    column("num_segments", INT, "whole thinking segments within the budget"),
    column("num_repeats", INT, "of these, attempts that repeat an earlier one word for word"),
    column("num_hits", INT, "of these, attempts the verifier accepts"),
    column("num_judged_hits", INT, "of these hits, those with a verdict of the policy's own"),
    column(
        "num_judged_misses", INT, "of the other attempts, those with a verdict of the policy's own"
    ),
    column("num_false_negatives", INT, "hits that the policy itself calls wrong"),
    column("num_false_positives", INT, "misses that the policy itself calls correct"),
    conversions=[TEMPERATURE_OF_OLDER],
)
