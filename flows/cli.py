"""The `knowhow` command: plan, train, look, read, rounds, nights, audit, report, tables, cache.

What a command needs is imported when it runs, so that `--help` never waits for DVC, nor `plan` for
Prefect, nor `audit` for either.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import ask, cache, init, look, plan, read, report, rounds, tables, tidy, train
from flows.commands.deferred import Deferred
from flows.project import git


def _serving() -> typer.Typer:
    from flows.commands import serve

    return serve.app


def _alerting() -> typer.Typer:
    from flows.commands import alert

    return alert.app


def _nights() -> typer.Typer:
    from flows.commands import nights

    return nights.app


def _lineage() -> typer.Typer:
    from lineage import cli

    return cli.app


def _verifier() -> typer.Typer:
    from flows.commands import verifier

    return verifier.app


class _Nightly(Deferred):
    apps = (_nights, _serving, _alerting)


class _Audit(Deferred):
    apps = (_lineage, _verifier)


EXAMPLES = """\b
Examples:
  knowhow init --task dataset --path sums.jsonl --force     params.yaml for a task of your own
  knowhow plan                         what will run, and why
  knowhow train                        run it, with a page to watch
  knowhow look                         how it goes, and what to turn
  knowhow read                         what the policies wrote, and where they gained
  knowhow nightly serve                train every night, and keep what got better
  knowhow audit leaks i3               prove that no exam problem was trained on
  knowhow ask i3 "3 5 7 T36"           one question, its stream with segments and J
  knowhow tables                       the tables there are
  knowhow tidy --dry-run               what a round or profile that is gone has left
  knowhow --install-completion         completion by the tab key

Run from the repository's root. `dvc repro` runs the same stages without this command."""
NIGHTLY_EXAMPLES = """\b
Examples:
  knowhow nightly preflight            what prevents a night
  knowhow nightly run                  tonight's night, now
  knowhow nightly serve                every night, by the schedule of nightly.yaml
  knowhow nightly alert https://hooks.example.org/knowhow"""
AUDIT_EXAMPLES = """\b
Examples:
  knowhow audit show i3                where a policy came from
  knowhow audit rows i3 --json         what trained it, row by row
  knowhow audit leaks i3               proof that no exam problem did
  knowhow audit verify i3              every byte hashed anew
  knowhow audit verifier i3            its round judged again, by a second judge too"""

app = typer.Typer(
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Train policies that learn how to answer: the stages of dvc.yaml planned, run, repeated "
    "nightly and audited.",
    epilog=EXAMPLES,
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and its commit.")
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        from flows.project.git import commit_of

        typer.echo(f"knowhow {installed('knowhow')} ({commit_of(Path(__file__).parent)})")
        raise typer.Exit


app.command(epilog=init.EXAMPLES)(init.init)
app.command(epilog=plan.EXAMPLES)(plan.plan)
app.command(epilog=train.EXAMPLES)(train.train)
app.command(epilog=look.EXAMPLES)(look.look)
app.command(epilog=report.EXAMPLES)(report.report)
app.command(epilog=read.EXAMPLES)(read.read)
app.command(epilog=tables.EXAMPLES)(tables.tables)
app.command(epilog=ask.EXAMPLES)(ask.ask)
app.command(epilog=tidy.EXAMPLES)(tidy.tidy)
app.add_typer(rounds.app, name="round", epilog=rounds.EXAMPLES)
app.add_typer(cache.app, name="cache", epilog=cache.EXAMPLES)
app.add_typer(
    typer.Typer(cls=_Nightly, no_args_is_help=True, rich_markup_mode=None),
    name="nightly",
    help="A round every night: trained, examined, and promoted where it is better.",
    epilog=NIGHTLY_EXAMPLES,
)
app.add_typer(
    typer.Typer(cls=_Audit, no_args_is_help=True, rich_markup_mode=None),
    name="audit",
    help="Where a policy came from, row by row and byte by byte; needs neither DVC nor Prefect.",
    epilog=AUDIT_EXAMPLES,
)


def main() -> None:
    """Entry point of the `knowhow` command and of `python -m flows.cli`."""
    git.obey_no_hook()
    os.environ["DVC_NO_ANALYTICS"] = "1"
    os.environ.setdefault("DVC_SITE_CACHE_DIR", str(Path(".venv/var/dvc").absolute()))
    app(prog_name="knowhow")


if __name__ == "__main__":
    main()
