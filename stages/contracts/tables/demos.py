"""Table `demos`: one demonstration a row."""

from stages.contracts.storage.contract import FLAG, INT, TEXT, column, define

DEMOS = define(
    "demos",
    "one demonstration",
    ["demo_id"],
    column("demo_id", INT, "0-based position in the generator's order"),
    column("problem_id", TEXT, "problem shown; always of the train split"),
    column("strategy", TEXT, "how the demonstration searches"),
    column("text", TEXT, "completion to imitate, end of text excluded"),
    column("is_correct", FLAG, "whether its final answer is correct"),
    column("num_segments", INT, "attempts before the answer"),
)
