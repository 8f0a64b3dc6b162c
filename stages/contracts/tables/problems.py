"""Table `problems`: one problem a row."""

from stages.contracts.storage.contract import INT, TEXT, column, define

PROBLEMS = define(
    "problems",
    "one problem",
    ["problem_id"],
    column(
        "problem_id", TEXT, "canonical name: equal for problems that are rewritings of each other"
    ),
    column("task", TEXT, "task the problem comes from"),
    column("split", TEXT, "`train`, `heldout` or `reserved`"),
    column("difficulty", INT, "structural tier of the generator"),
    column("prompt", TEXT, "text given to the policy"),
    column("answer", TEXT, "one correct answer"),
    column("metadata", TEXT, "what the verifier needs, as JSON"),
    column("seed", INT, "generator seed or draw number of this problem"),
)
