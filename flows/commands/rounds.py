"""`knowhow round`: add a round to params.yaml or remove one, comments and layout kept.

With `--curriculum` the round takes the budget and the difficulties that the parent's exam proposes
(e3's coupled curriculum), written out as a recipe of its own.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.views import console
from flows.project import names
from flows.project.paths import EXAMS, GRAPH, PARAMS

app = typer.Typer(no_args_is_help=True, help="Rounds of params.yaml.")
EXAMPLES = """\b
Examples:
  knowhow round add i4 --parent i3 --recipe information
  knowhow round add x1 --parent i3 --recipe information --curriculum     as i3's exam proposes
  knowhow round add i5 --parent i4 --recipe information --no-exam        trained, not examined
  knowhow round remove i4                                                with its exam"""
REMOVE_EXAMPLES = """\b
Examples:
  knowhow round remove i4
  knowhow round remove i4 && knowhow tidy      what it left in this checkout too"""
EXACT = "exact"
"""The judge that is the task's own verifier."""


class NoProposal(Exception):
    """The parent's exam proposes no curriculum; says why."""


@app.command(epilog=EXAMPLES)
def add(
    name: Annotated[str, typer.Argument(help="Name of the round, and of the policy it makes.")],
    parent: Annotated[
        str, typer.Option(help="Policy it starts from.", autocompletion=names.policies)
    ],
    recipe: Annotated[
        str, typer.Option(help="Recipe of params.yaml.", autocompletion=names.recipes)
    ],
    reference: Annotated[
        str | None,
        typer.Option(
            help="Policy a KL term holds it near; else the parent's.", autocompletion=names.policies
        ),
    ] = None,
    judge: Annotated[
        str, typer.Option(help="Who gives the reward.", autocompletion=names.judges)
    ] = "exact",
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Seed of its draws; else one more than its line's, so that two arms of one length "
            "get the same problems.",
        ),
    ] = None,
    curriculum: Annotated[
        bool,
        typer.Option("--curriculum", help="Budget and difficulties as the parent's exam proposes."),
    ] = False,
    exam: Annotated[
        bool, typer.Option("--exam/--no-exam", help="Whether the policy it makes is examined.")
    ] = True,
) -> None:
    """Add one round to params.yaml, and its exam. No other round runs again for it."""
    from flows.project import params_file

    new = params_file.NewRound(name, parent, recipe, judge, reference, seed)
    try:
        params_file.check()
        proposed = proposal(EXAMS / f"{parent}.json") if curriculum else None
        text = params_file.with_round(PARAMS.read_text(encoding="utf-8"), new, proposed)
        if exam:
            text = params_file.with_exam(text, name, EXACT)
        params_file.publish(text)
    except (params_file.BadParams, NoProposal) as error:
        console.stop(error)
    console.say(_added(name, exam))


def _added(name: str, has_exam: bool) -> str:
    what, last = "and its exam", f"evaluate@{name}"
    if not has_exam:
        what, last = "without an exam, so nothing will tell its success", f"update@{name}"
    return f"added round {name} to {PARAMS}, {what}; `knowhow plan {last}` shows what will run"


@app.command(epilog=REMOVE_EXAMPLES)
def remove(
    name: Annotated[str, typer.Argument(help="Name of the round.", autocompletion=names.rounds)],
) -> None:
    """Remove one round from params.yaml, and its exam.

    Refused while another round, a judge or the champion needs the policy it makes.
    """
    from flows.project import params_file, yaml_text

    try:
        text = PARAMS.read_text(encoding="utf-8")
        rounds = yaml_text.values(text)["rounds"]
        if name not in rounds:
            raise params_file.BadParams(
                f"{PARAMS} has no round {name}; choose from {sorted(rounds)}"
            )
        artifacts = yaml_text.values(GRAPH.read_text(encoding="utf-8")).get("artifacts", {})
        if Path(artifacts.get("champion", {}).get("path", "")).name == name:
            raise params_file.BadParams(
                f"{name} is the champion that nights train on: give artifacts.champion.path of "
                f"{GRAPH} another policy first"
            )
        params_file.publish(params_file.without_round(text, name))
    except (params_file.BadParams, FileNotFoundError) as error:
        console.stop(error)
    console.say(
        f"removed round {name} from {PARAMS}; `knowhow tidy` sweeps what it left in this checkout"
    )


def proposal(exam: Path) -> dict[str, Any]:
    """Budget and difficulties of the next round, by a policy's exam: keys of a recipe's rollout.

    Raises:
        NoProposal: there is no exam, or it proposes nothing.
    """
    if not exam.is_file():
        raise NoProposal(
            f"{exam} is missing; add {exam.stem} to params.yaml `exams` and run "
            "`dvc repro evaluate`"
        )
    curriculum = json.loads(exam.read_text(encoding="utf-8"))["curriculum"]
    proposed = {key: curriculum[key] for key in ("budget_tokens", "difficulties")}
    if proposed["budget_tokens"] is None or not proposed["difficulties"]:
        raise NoProposal(
            f"{exam} proposes no budget or difficulty: nothing succeeds yet; leave --curriculum out"
        )
    return proposed
