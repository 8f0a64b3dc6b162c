"""Draw the problems: a train split to learn on and a held-out split to be examined on.

Reads   params.yaml `task`, and the file that a task of the user's own names.
Writes  problems, one row per problem; the folder of the judge `exact`, which says that the task's verifier judges.
Method  The task's own generator, or the user's file or class, whose reference answers the task's verifier judges first.
        Splits are cut by canonical problem, so no re-ordered twin crosses.

Example: python -m stages.prepare --problems data/problems.parquet --exact-judge data/judges/exact
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stages.contracts import params, tables
from stages.contracts.errors import command
from stages.contracts.facts import RunFacts
from stages.contracts.progress import Progress
from stages.contracts.publish import write_json
from stages.contracts.task_params import TaskParams
from stages.tasks.rows import problem_row
from stages.tasks.sources import load_source
from stages.tasks.task import Problem
from stages.verifiers import isolated
from stages.verifiers.isolated import Request

JUDGE_FILE = "judge.json"


def main(problems: Path, exact_judge: Path, params_file: Path = Path("params.yaml")) -> None:
    """Draw the problems of both splits, and name the judge that needs no training."""
    settings = params.load(params_file).task
    facts = RunFacts("prepare")

    with facts.phase("generating"):
        source = load_source(settings, partial(reference_verdicts, settings))
        rows = [problem_row(settings.name, problem) for problem in source.problems()]

    tables.write(problems, tables.PROBLEMS, rows)
    write_json(exact_judge / JUDGE_FILE, {"kind": params.EXACT})
    facts.count(num_problems=len(rows))
    facts.write(problems)


def reference_verdicts(task: TaskParams, problems: Sequence[Problem]) -> list[str]:
    """What the task's own verifier says of each reference answer."""
    requests = [Request(problem, problem.answer, is_attempt=False) for problem in problems]
    with Progress("prepare", len(requests), "answers") as progress:
        return [str(verdict) for verdict in isolated.judge(task, requests, on_judged=progress.add)]


if __name__ == "__main__":
    command(main)
