"""`knowhow cache`: DVC's cache held against its own names."""

import sys
from typing import Annotated

import typer

from flows.commands.views import console

app = typer.Typer(no_args_is_help=True, help="What DVC keeps of outputs.")
EXAMPLES = """\b
Examples:
  knowhow cache verify               every object hashed; what is spoilt is dropped
  knowhow cache verify --quick       only those written since"""


@app.callback()
def _group() -> None:
    """A group, though it has one command yet."""


@app.command(epilog=EXAMPLES)
def verify(
    is_quick: Annotated[
        bool,
        typer.Option("--quick", help="Hash only what was written since it was last found sound."),
    ] = False,
) -> None:
    """Drop what is not what its name says, so that `dvc repro` makes it anew."""
    from flows.running import cache

    try:
        spoilt = cache.verify(is_quick=is_quick)
    except cache.NoCache as error:
        console.stop(error)
    for each in spoilt:
        print(f"spoilt, dropped: {each}", file=sys.stderr)
    if spoilt or not is_quick:
        next_step = "; `dvc repro` makes anew what it needs" if spoilt else ""
        print(f"{len(spoilt)} object(s) of DVC's cache were spoilt{next_step}")
