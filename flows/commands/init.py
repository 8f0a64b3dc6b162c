"""`knowhow init`: a params.yaml for a task, with sizes by what its source holds."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from flows.commands.views import console
from flows.project import programs, starting
from flows.project.paths import PARAMS

SURVEYOR = "stages.survey"
EXAMPLES = """\b
Examples:
  knowhow init --task countdown                                    the default, smaller
  knowhow init --task reasoning_gym --family products
  knowhow init --task dataset --path problems_of_mine/sums.jsonl   columns are guessed by name
  knowhow init --task dataset --path sums.jsonl --question problem --answer solution
  knowhow init --task user --path tasks_of_mine/ones.py:Ones --difficulties 6,8
  knowhow init --task reasoning_gym --model FOLDER                 a checkpoint, in its own words"""


def init(
    task: Annotated[
        Literal["countdown", "dataset", "reasoning_gym", "user"],
        typer.Option(help="Where problems come from: docs/tasks.md."),
    ],
    path: Annotated[
        str | None,
        typer.Option(metavar="FILE[:CLASS]", help="A file of problems, or of a class."),
    ] = None,
    family: Annotated[str, typer.Option(help="Of reasoning_gym.")] = "chain_sum",
    difficulties: Annotated[
        str, typer.Option(metavar="N,N", help="What a class is asked for.")
    ] = "1,2,3",
    question: Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a file.")] = None,
    answer: Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a file.")] = None,
    level: Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a file.")] = None,
    solution: Annotated[str | None, typer.Option(metavar="COLUMN", help="Of a file.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="A checkpoint to start from; else a small one, random."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite params.yaml.")] = False,
) -> None:
    """Write a params.yaml for a task. Look it over: every number of the run is in it."""
    from flows.project import params_file

    if PARAMS.exists() and not force:
        console.stop(f"{PARAMS} is there; --force overwrites it (git has what you committed)")
    named = {"question": question, "answer": answer, "level": level, "solution": solution}
    try:
        if task == "countdown":
            text = starting.countdown()
        else:
            described = _described(task, path, family, difficulties, named)
            described["tiers"] = [{**tier, **starting.UNSIZED} for tier in described["tiers"]]
            text = starting.of_text(described, _surveyed(described), model)
        params_file.publish(text)
    except (starting.NotUsable, params_file.BadParams) as error:
        console.stop(error)
    console.say(
        f"wrote {PARAMS} for task {task}; `knowhow plan` checks it against its source, "
        "`make iteration` runs it; then read data/report/report.html"
    )


def _described(
    task: str, path: str | None, family: str, difficulties: str, named: dict[str, str | None]
) -> dict[str, Any]:
    """The task's section of params.yaml, its tiers without sizes."""
    if task == "reasoning_gym":
        return starting.of_family(family)
    if path is None:
        shown = "FILE.jsonl" if task == "dataset" else "FILE.py:CLASS"
        raise starting.NotUsable(f"task {task} needs --path {shown}")
    file = Path(path.partition(":")[0])
    if not file.is_file():
        raise starting.NotUsable(f"{file} is missing; --path is as seen from the root")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    if task == "dataset":
        return starting.of_file(file, sha256, named)
    return starting.of_class(path, sha256, difficulties)


def _surveyed(described: dict[str, Any]) -> dict[str, Any]:
    """What the source holds, by a program that may run the user's class."""
    try:
        printed = programs.output_of(SURVEYOR, "--task", json.dumps(described))
    except programs.ProgramFailed as failed:
        raise starting.NotUsable(str(failed)) from None
    surveyed: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return surveyed
