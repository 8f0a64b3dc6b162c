"""`knowhow audit verifier`: a stored round judged again, by a program of the verifiers' own."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.project import names

PROGRAM = "stages.verifiers.second_look"
EXAMPLES = """\b
Examples:
  knowhow audit verifier i1            how far its verdicts can be trusted
  knowhow audit verifier i1 --json"""

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EXAMPLES)
def verifier(
    round_id: Annotated[
        str,
        typer.Argument(
            metavar="ROUND", help="A round that was scored.", autocompletion=names.rounds
        ),
    ],
    repository: Annotated[
        Path, typer.Option("--repo", help="Checkout whose tables and params.yaml are read.")
    ] = Path("."),
    num_perturbed: Annotated[
        int, typer.Option(min=0, help="Correct answers that are changed by hand.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a round again: by its verifier, by a second one, and on answers changed by hand."""
    arguments = ["--round-id", round_id, "--num-perturbed", str(num_perturbed)]
    ended = subprocess.run(
        [sys.executable, "-m", PROGRAM, *arguments, *(["--as-json"] if as_json else [])],
        cwd=repository,
        check=False,
    )
    raise SystemExit(ended.returncode)
