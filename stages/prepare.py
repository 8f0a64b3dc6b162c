"""Draw the problems: a train split to learn on and a held-out split to be examined on.

Reads   params.yaml `task`, and the file that a task of the user's own names.
Writes  problems, one row per problem; solutions, one row per correct answer of a problem of the
        train split, where the task can list them; format, how the task's text is marked; the folder
        of the judge `exact`, which says that the task's verifier judges.
Method  The task's own generator, or the user's file or class, whose reference answers the task's
        verifier judges first. Splits are cut by canonical problem, so no re-ordered twin crosses.

Example: python -m stages.prepare --problems data/problems.parquet \
         --solutions data/solutions.parquet --exact-judge data/judges/exact
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stages.contracts.format import write_format
from stages.contracts.params.base import read_section
from stages.contracts.params.task import TaskParams
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.solutions import SOLUTIONS
from stages.contracts.verdict import EXACT, JUDGE_FILE
from stages.running.errors import command
from stages.running.publish import RunFacts, write_json
from stages.tasks.marks import load_marks, marks_of
from stages.tasks.rows import problem_row
from stages.tasks.sources import load_source
from stages.tasks.task import Problem, Source
from stages.verifiers.references import reference_verdicts
from stages.verifiers.registry import need_verifier


def main(
    problems: Path,
    solutions: Path,
    text_format: Path,
    exact_judge: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Draw the problems of both splits, and name the judge that needs no training."""
    settings: TaskParams = read_section(params_file, "task", TaskParams)
    facts = RunFacts("prepare")
    need_verifier(settings)

    with facts.phase("generating"):
        source = load_source(settings, partial(reference_verdicts, settings))
        drawn = list(source.problems())
        answers = solution_rows(source, drawn)

    write_table(problems, PROBLEMS, [problem_row(settings.name, problem) for problem in drawn])
    write_table(solutions, SOLUTIONS, answers)
    write_format(text_format, marks_of(load_marks(settings)))
    write_json(exact_judge / JUDGE_FILE, {"kind": EXACT})
    facts.count(num_problems=len(drawn), num_solutions=len(answers))
    facts.write(problems)


def solution_rows(source: Source, problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Rows of `solutions`: every correct answer of every problem that a policy may learn on."""
    rows = []
    for problem in problems:
        if problem.split == "train":
            for index, text in enumerate(source.solutions(problem)):
                row = {"problem_id": problem.problem_id, "solution_index": index, "solution": text}
                rows.append(row)
    return rows


if __name__ == "__main__":
    command(main, writes=("problems", "solutions", "text_format", "exact_judge"))
