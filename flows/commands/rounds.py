"""`knowhow round`: add a round to params.yaml, comments and layout kept.

With `--curriculum` the round takes the budget and the difficulties that the parent's exam proposes
(e3's coupled curriculum), written out as a recipe of its own.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands import console
from flows.project.paths import EXAMS, PARAMS

app = typer.Typer(no_args_is_help=True, help="Rounds of params.yaml.")
EXAMPLES = """\b
Examples:
  knowhow round add i4 --parent i3 --recipe information
  knowhow round add x1 --parent i3 --recipe information --curriculum     as i3's exam proposes"""


class NoProposal(Exception):
    """The parent's exam proposes no curriculum; says why."""


@app.command(epilog=EXAMPLES)
def add(
    name: Annotated[str, typer.Argument(help="Name of the round, and of the policy it makes.")],
    parent: Annotated[str, typer.Option(help="Policy it starts from.")],
    recipe: Annotated[str, typer.Option(help="Recipe of params.yaml.")],
    reference: Annotated[
        str | None, typer.Option(help="Policy a KL term holds it near; else the parent's.")
    ] = None,
    judge: Annotated[str, typer.Option(help="Who gives the reward.")] = "exact",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of its draws; else one that no round has.")
    ] = None,
    curriculum: Annotated[
        bool,
        typer.Option("--curriculum", help="Budget and difficulties as the parent's exam proposes."),
    ] = False,
) -> None:
    """Add one round to params.yaml. No other round runs again for it."""
    from flows.project import params_file

    new = params_file.NewRound(name, parent, recipe, judge, reference, seed)
    try:
        params_file.check()
        proposed = proposal(EXAMS / f"{parent}.json") if curriculum else None
        text = params_file.with_round(PARAMS.read_text(encoding="utf-8"), new, proposed)
        params_file.publish(text)
    except (params_file.BadParams, NoProposal) as error:
        console.stop(error)
    console.say(
        f"added round {name} to {PARAMS}; `knowhow plan update@{name}` shows what it will run"
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
