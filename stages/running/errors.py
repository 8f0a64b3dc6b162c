"""What can go wrong, and how a command says so: one message, one exit code, nothing half done."""

import errno
import sys
from collections.abc import Callable

import tyro

from stages.running.printable import printable

EXIT_BAD_INPUT = 2
TORCH_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
)  # it raises RuntimeError, on GPU and CPU
EXIT_MACHINE = (
    75  # sysexits.h EX_TEMPFAIL: the same command may succeed later, so a scheduler may retry
)


class BadInput(Exception):
    """The input, the configuration or the data is wrong: trying again gives the same answer."""


class MachineFailure(Exception):
    """The machine failed (accelerator busy, memory, disk): trying again may succeed."""


def command(main: Callable[..., None]) -> None:
    """Run `main` as a command line program with this project's errors and exit codes.

    Exit codes: 2 for `BadInput`, 75 for `MachineFailure`, memory and disk exhaustion.
    """
    try:
        tyro.cli(main)
    except BadInput as error:
        _stop(str(error), EXIT_BAD_INPUT)
    except FloatingPointError as error:
        _stop(
            f"{error}: training diverged; lower the learning rate, then run again", EXIT_BAD_INPUT
        )
    except MachineFailure as error:
        _stop(str(error), EXIT_MACHINE)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(
            sign in str(error) for sign in TORCH_OUT_OF_MEMORY
        ):
            raise
        _stop(
            "out of memory; lower the recipe's batch sizes or free memory, then run again",
            EXIT_MACHINE,
        )
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _stop(
            f"no space left on the disk while writing {error.filename or 'an output'}; "
            "free space (`dvc gc -w` drops unused cache), then run again: finished work is kept",
            EXIT_MACHINE,
        )


def _stop(message: str, code: int) -> None:
    print(f"error: {printable(message)}", file=sys.stderr, flush=True)
    raise SystemExit(code)
