"""Table `answers`: one (problem, temperature, sample, budget) of an exam a row."""

from stages.contracts.storage.contract import FLAG, FLOAT, INT, TEXT, column, define
from stages.contracts.tables.conversions import TEMPERATURE_OF_OLDER

ANSWERS = define(
    "answers",
    "one (problem, temperature, sample, budget) of an exam",
    ["problem_id", "temperature", "sample_index", "budget_tokens"],
    column("policy_id", TEXT, "policy examined"),
    column("problem_id", TEXT, "problem asked"),
    column("temperature", FLOAT, "sampling temperature"),
    column("sample_index", INT, "0-based sample of the problem"),
    column("budget_tokens", INT, "thinking tokens allowed"),
    column("used_tokens", INT, "thinking tokens used"),
    column("is_forced", FLAG, "whether the answer was forced at the budget"),
    column("answer", TEXT, "text after the cue"),
    conversions=[TEMPERATURE_OF_OLDER],
)
