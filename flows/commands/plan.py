"""`knowhow plan`: which stages will run, and why."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.look import finding_line
from flows.commands.views import console
from flows.project import names

if TYPE_CHECKING:
    from flows.running.graph import PlannedStage

NUM_REASONS_SHOWN = 3
FALLING = "falling"  # the rule that a plan tells of: another round would go on from there
EXAMPLES = """\b
Examples:
  knowhow plan                all stages
  knowhow plan update@i1      one stage and its ancestors
  knowhow plan --json | jq -r '.[] | select(.reasons != []) | .name'"""

Stages = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="STAGE",
        help="Stages (update@i1) or groups (update), with their ancestors; else all.",
        autocompletion=names.stages,
    ),
]


def plan(
    stages: Stages = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: name, parents, reasons.")
    ] = False,
) -> None:
    """Show which stages will run, and why. Nothing is run."""
    planned = planned_stages(stages)
    if as_json:
        print(json.dumps([asdict(stage) for stage in planned], indent=2))
    else:
        print("\n".join([_table(planned), *_falls()]))


def planned_stages(stages: Sequence[str] | None) -> "list[PlannedStage]":
    """The plan, once all of params.yaml is known to be right; else the command ends."""
    from flows.project import params_file
    from flows.running import graph

    try:
        try:
            params_file.check()
        except params_file.BadParams:
            params_file.check_source()  # tells the same, and what is wrong with the source besides
            raise
        planned = graph.plan(stages or ())
        # Stage `code` checks the source too: where it has run on all this, that is known.
        if any(stage.name == graph.LISTER and stage.is_stale for stage in planned):
            params_file.check_source()
        return planned
    except (params_file.BadParams, graph.GraphError) as error:
        console.stop(error)


def _table(planned: "Sequence[PlannedStage]") -> str:
    rows = [("STAGE", "STATE", "WHY")]
    rows += [(console.plainly(stage.name), _state(stage), _why(stage)) for stage in planned]
    num_stale = sum(stage.is_stale for stage in planned)
    total = f"{num_stale} of {len(planned)} stages will run."
    return "\n".join([*console.aligned(rows), "", total])


def _falls() -> list[str]:
    """Chains whose success falls, as far as rounds are scored."""
    from flows.running.summary import SCORED, NoSummary, summarize

    if not any(SCORED.glob("*.json")):
        return []
    try:
        findings = summarize()["findings"]
    except NoSummary as error:
        return [f"not looked at: {console.plainly(error)}"]
    return [finding_line(finding) for finding in findings if finding["rule"] == FALLING]


def _state(stage: "PlannedStage") -> str:
    if stage.is_stale:
        return console.styled("will run", typer.colors.YELLOW)
    return console.styled("up to date", typer.colors.GREEN)


def _why(stage: "PlannedStage") -> str:
    shown, left = stage.reasons[:NUM_REASONS_SHOWN], len(stage.reasons) - NUM_REASONS_SHOWN
    return console.plainly("; ".join([*shown, *([f"and {left} more"] if left > 0 else [])]))
