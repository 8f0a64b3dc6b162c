"""Table `answers`: one (problem, sample, budget) of an exam a row."""

from stages.contracts.storage.contract import FLAG, INT, TEXT, column, define

ANSWERS = define(
    "answers",
    "one (problem, sample, budget) of an exam",
    ["problem_id", "sample_index", "budget_tokens"],
    column("policy_id", TEXT, "policy examined"),
    column("problem_id", TEXT, "problem asked"),
    column("sample_index", INT, "0-based sample of the problem"),
    column("budget_tokens", INT, "thinking tokens allowed"),
    column("used_tokens", INT, "thinking tokens used"),
    column("is_forced", FLAG, "whether the answer was forced at the budget"),
    column("answer", TEXT, "text after the cue"),
)
