"""What the commands share at the terminal: errors in one form, exit codes, colours, and an end in order."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

import typer

EXIT_STAGE_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_MACHINE = 75
STOPPED = "stopped before the end; finished stages are kept: run the same command to go on"


class Terminated(KeyboardInterrupt):
    """Signal TERM, which ends a run as ctrl-C does."""


def stop(message: object, code: int = EXIT_BAD_INPUT) -> NoReturn:
    """End the command with an error on standard error."""
    tell_error(message)
    raise SystemExit(code)


def tell_error(message: object) -> None:
    """Print an error to standard error."""
    print(f"{styled('error:', typer.colors.RED, sys.stderr)} {message}", file=sys.stderr, flush=True)


def styled(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text in colour where `stream`, else standard output, is a terminal and the user has not set NO_COLOR."""
    has_colours = (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR")
    return typer.style(text, fg=colour) if has_colours else text


@contextmanager
def ending_in_order() -> Iterator[None]:
    """In the block, TERM ends like ctrl-C, and what a server, a port or another run refuses is an error, no traceback.

    Raises:
        SystemExit: the block was stopped or refused.
    """
    from flows import pages, run, server

    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except (run.Busy, server.NoAnswer, pages.PortTaken) as error:
        stop(error)
    except server.NotStarted as error:
        stop(error, EXIT_MACHINE)
    except KeyboardInterrupt as stopped:
        stop(STOPPED, 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT))


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated
