"""Draw the problems: a train split to learn on and a held-out split to be examined on.

Reads   params.yaml `task`.
Writes  problems, one row per problem; the folder of the judge `exact`, which says that the task's verifier judges.
Method  The task's own generator. Splits are cut by canonical problem, so no re-ordered twin crosses.

Example: python -m stages.prepare --problems data/problems.parquet --exact-judge data/judges/exact
"""

from pathlib import Path

from stages.contracts import params, tables
from stages.contracts.errors import command
from stages.contracts.facts import RunFacts
from stages.contracts.publish import write_json
from stages.tasks.rows import problem_row
from stages.tasks.sources import load_source

JUDGE_FILE = "judge.json"


def main(problems: Path, exact_judge: Path, params_file: Path = Path("params.yaml")) -> None:
    """Draw the problems of both splits, and name the judge that needs no training."""
    settings = params.load(params_file).task
    facts = RunFacts("prepare")

    with facts.phase("generating"):
        rows = [problem_row(settings.name, problem) for problem in load_source(settings).problems()]

    tables.write(problems, tables.PROBLEMS, rows)
    write_json(exact_judge / JUDGE_FILE, {"kind": params.EXACT})
    facts.count(num_problems=len(rows))
    facts.write(problems)


if __name__ == "__main__":
    command(main)
