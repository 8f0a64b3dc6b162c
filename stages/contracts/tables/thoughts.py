"""Table `thoughts`: one long sample of an exam a row."""

from stages.contracts.storage.contract import INT, INTS, TEXT, column, define

THOUGHTS = define(
    "thoughts",
    "one long sample of an exam",
    ["problem_id", "sample_index"],
    column("policy_id", TEXT, "policy examined"),
    column("problem_id", TEXT, "problem asked"),
    column("sample_index", INT, "0-based sample of the problem"),
    column("thinking_tokens", INTS, "token ids between prompt and answer cue"),
)
