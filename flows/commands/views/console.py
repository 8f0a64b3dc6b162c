"""What the commands share at the terminal: errors in one form, colours, columns, an orderly end."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

import click
import typer

from flows.project import exit_codes
from flows.project.printable import printable, without_secrets

STOPPED = "stopped before the end; finished stages are kept: run the same command to go on"


class Terminated(KeyboardInterrupt):
    """Signal TERM, which ends a run as ctrl-C does."""


def stop(message: object, code: int = exit_codes.BAD_INPUT) -> NoReturn:
    """End the command with an error on standard error."""
    print_error(message)
    raise SystemExit(code)


def print_error(message: object) -> None:
    """Print an error to standard error."""
    label = styled("error:", typer.colors.RED, sys.stderr)
    print(f"{label} {plainly(message)}", file=sys.stderr, flush=True)


def say(message: object) -> None:
    """Print to standard output what names things of files, at once."""
    print(plainly(message), flush=True)


def plainly(message: object) -> str:
    """A message without control characters and passwords: it may name what anyone wrote."""
    return printable(without_secrets(str(message)))


def styled(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text in colour where `stream`, else standard output, is a terminal.

    Not where the user has set NO_COLOR.
    """
    has_colours = (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR")
    return typer.style(text, fg=colour) if has_colours else text


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, columns padded; colours take no room."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        padded = [cell + " " * (width - _width(cell)) for cell, width in cells]
        lines.append("  ".join(padded).rstrip())
    return lines


@contextmanager
def ending_in_order() -> Iterator[None]:
    """End the block in order: TERM ends it as ctrl-C does, and ctrl-C is no traceback.

    What a server, a port or another run refuses is an error without a traceback.

    Raises:
        SystemExit: the block was stopped or refused.
    """
    from flows.running import pages, server, stage

    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except (stage.Busy, server.NoAnswer, pages.PortTaken) as error:
        stop(error)
    except server.NotStarted as error:
        stop(error, exit_codes.MACHINE)
    except KeyboardInterrupt as stopped:
        number = signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT
        stop(STOPPED, 128 + number)


def wait_for_interrupt(what: str) -> None:
    """Say what is there until ctrl-C, and wait for that."""
    print(f"{what} until ctrl-C", flush=True)
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        print("stopping the server", flush=True)


def _width(cell: str) -> int:
    return len(click.unstyle(cell))


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated
