"""`knowhow ask`: one question to a policy, its stream with segments and J."""

import json
from typing import Annotated, Any

import typer

from flows.commands.views import console
from flows.project import exit_codes, names, programs
from flows.project.paths import DATA, POLICIES

PROGRAM = "stages.ask"
EXAMPLES = """\b
Examples:
  knowhow ask i3 "3 5 7 T36"                        Countdown: make 36 of 3, 5 and 7
  knowhow ask r0 "What is 6 times 7?" --answer 42   J of an answer that you know
  knowhow ask i3 "3 5 7 T36" --seed 1 --temperature 1 --budget 288
  knowhow ask i3 "3 5 7 T36" --json | jq .success"""


def ask(
    policy: Annotated[
        str,
        typer.Argument(metavar="POLICY", help="A trained one.", autocompletion=names.policies),
    ],
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="As the task's problems are put.")
    ],
    answer: Annotated[
        str | None, typer.Option(help="A correct answer, for J of a question in no table.")
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(min=0, metavar="TOKENS", help="Of thinking; else that of training."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.01, metavar="T", help="Of sampling.")] = 0.6,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the draws.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a policy one question; show each segment of its stream, and J behind it.

    J is the chance to answer right if asked there: the probability of the answers known to be
    correct. It is known of the task's own problems, of any in Countdown, and where --answer says
    what is right.
    """
    folder = POLICIES / policy
    if not folder.is_dir():
        there = sorted(each.name for each in POLICIES.glob("*") if each.is_dir())
        asked = "`dvc repro` trains those of params.yaml" if not there else f"choose from {there}"
        console.stop(f"no policy {policy} in {POLICIES}; {asked}")
    arguments = ["--policy", str(folder), "--question", question]
    arguments += ["--problems", str(DATA / "problems.parquet")]
    arguments += ["--text-format", str(DATA / "format.json")]
    arguments += ["--temperature", str(temperature), "--seed", str(seed)]
    for option, value in (("--budget-tokens", budget), ("--answer", answer)):
        arguments += [option, str(value)] if value is not None else []
    try:
        printed = programs.output_of(PROGRAM, *arguments)
    except programs.ProgramFailed as failed:
        if failed.error:
            console.stop(failed.error, failed.exit_code)
        console.stop(f"{failed}; try again", exit_codes.MACHINE)
    stream = json.loads(printed.splitlines()[-1])
    console.say(json.dumps(stream, indent=2) if as_json else told(stream))


def told(stream: dict[str, Any]) -> str:
    """A stream as lines: J before it, and behind each segment."""
    thinking = ["(asked)", *(segment.strip() for segment in stream["segments"])]
    rows = [("J", "SEGMENT")]
    for success, text in zip(stream["success"], thinking, strict=True):
        rows.append(("?" if success is None else f"{success:.3f}", " ".join(text.split())))
    verdict = f"  ({stream['verdict']})" if stream["verdict"] else ""
    lines = [stream["prompt"].strip(), "", *console.aligned(rows), ""]
    lines.append(f"answer: {stream['answer'].strip()}{verdict}")
    if not stream["num_known_answers"]:
        lines.append("J is not known: the question is in no table; --answer gives what is right")
    return "\n".join(lines)
