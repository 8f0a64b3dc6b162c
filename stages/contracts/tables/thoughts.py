"""Table `thoughts`: one long sample of an exam a row."""

from stages.contracts.storage.contract import FLOAT, INT, INTS, TEXT, column, define
from stages.contracts.tables.conversions import TEMPERATURE_OF_OLDER

THOUGHTS = define(
    "thoughts",
    "one long sample of an exam",
    ["problem_id", "temperature", "sample_index"],
    column("policy_id", TEXT, "policy examined"),
    column("problem_id", TEXT, "problem asked"),
    column("temperature", FLOAT, "sampling temperature"),
    column("sample_index", INT, "0-based sample of the problem"),
    column("thinking_tokens", INTS, "token ids between prompt and answer cue"),
    column(
        "thinking_text",
        TEXT,
        "what they read by the policy's tokenizer, as `completion_text` in rollouts",
        nullable=True,
    ),
    conversions=[TEMPERATURE_OF_OLDER],
)
