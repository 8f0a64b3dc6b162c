"""`knowhow report`: where the report is, in the browser, or served."""

import webbrowser
from typing import Annotated

import typer

from flows.commands.views import console
from flows.project.paths import REPORT

EXAMPLES = """\b
Examples:
  knowhow report              where the page is
  knowhow report --open       in the browser
  knowhow report --serve      report and Data Docs over http on this machine, until ctrl-C"""


def report(
    is_opened: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    is_served: Annotated[
        bool, typer.Option("--serve", help="Serve it and the Data Docs, until ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of --serve.")] = 4280,
) -> None:
    """Print where the report is, open it, or serve it on this machine's loopback address."""
    from flows.running import pages

    if not REPORT.is_file():
        console.stop(f"{REPORT} is missing; `knowhow train` makes it")
    if not is_served:
        print(REPORT)
    if is_opened and not webbrowser.open(REPORT.absolute().as_uri()):
        console.stop(f"there is no browser to open {REPORT} in; set BROWSER, or open it yourself")
    if is_served:
        with console.ending_in_order(), pages.serving(port) as url:
            console.wait_for_interrupt(f"report and Data Docs are at {url}")
