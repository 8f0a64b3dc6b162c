"""`knowhow tidy`: sweep what dvc.yaml with params.yaml asks for no longer."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.views import console

if TYPE_CHECKING:
    from flows.running.tidy import Leftovers

EXAMPLES = """\b
Examples:
  knowhow tidy --dry-run      what it would sweep, with bytes
  knowhow tidy                after another profile, or a round less
  knowhow tidy --dry-run --json | jq '[.paths[].num_bytes] | add'"""


def tidy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List it, and sweep nothing.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: entries, paths with their bytes.")
    ] = False,
) -> None:
    """Sweep what dvc.yaml with params.yaml asks for no longer.

    Entries of dvc.lock, outputs, metrics, pages and unfinished work go. DVC's cache keeps what it
    has of them (`dvc gc --workspace` frees that), and what git tracks shows as deleted. Refused
    while a run is at work.
    """
    from flows.running import graph
    from flows.running import tidy as sweeping
    from flows.running.stage import Busy

    try:
        with sweeping.nothing_running():
            left = sweeping.find()
            if not dry_run:
                sweeping.sweep(left)
    except (Busy, graph.GraphError) as error:
        console.stop(error)
    if as_json:
        console.say(json.dumps(asdict(left), indent=2, default=str))
    else:
        console.say(told(left, dry_run))


def told(left: "Leftovers", is_dry: bool) -> str:
    """What was found, a line each, and its sum."""
    rows = [("", f"dvc.lock: {name}") for name in left.entries]
    rows += [(f"{each.num_bytes:,}", str(each.path)) for each in left.paths]
    verb = "would sweep" if is_dry else "swept"
    total = (
        f"{verb} {len(left.entries)} entries of dvc.lock and {len(left.paths)} paths, "
        f"{left.num_bytes:,} bytes"
    )
    return (
        "\n".join([*console.aligned([("BYTES", "WHAT"), *rows]), "", total])
        if rows
        else ("nothing to sweep: dvc.yaml and params.yaml ask for all there is")
    )
