"""Table `solutions`: one correct answer of a problem a row."""

from stages.contracts.storage.contract import INT, TEXT, column, define

SOLUTIONS = define(
    "solutions",
    "one correct answer of a problem whose correct answers are all known",
    ["problem_id", "solution_index"],
    column("problem_id", TEXT, "problem answered"),
    column("solution_index", INT, "0-based position in the task's own order"),
    column("solution", TEXT, "text of the answer in the task's canonical form"),
)
