"""What can go wrong, and how a command says so: one message, one exit code, nothing half done.

An error may be the input's or the machine's, whatever its type. This file loads nothing that needs
memory before it is asked to: it has to answer where there was none to load a library.
"""

import errno
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

EXIT_BAD_INPUT = 2
KEPT = "\n\t"
"""What is no printable character, and yet shown as it is."""
REMEDY = "delete it, then run `knowhow cache verify` and `dvc repro`"
"""For an output that is spoilt: its bytes are DVC's cache's too, which would give them back."""
NOT_HELD = ("params_file", "scratch_root")
"""Of params.yaml the sections are held that are read; unfinished work is a step's own."""
EXIT_MACHINE = (
    75  # sysexits.h EX_TEMPFAIL: the same command may succeed later, so a scheduler may retry
)
FULL = (errno.ENOSPC, errno.EDQUOT)
SHORT = (
    *(errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOLCK, errno.ETXTBSY),
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES, errno.EPERM, errno.EROFS),
)
IN_WORDS = re.compile(r"(?:\bos error|\berrno) (\d+)", re.IGNORECASE)
MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc"),
    *("failed to map segment", "unable to mmap", "malloc of size", "realloc of size"),
)
"""As torch, Arrow and the loader of shared libraries say it."""
THREADS = ("can't start new thread", "failed to launch worker thread")
WORDS = tuple(os.strerror(number).lower() for number in (*FULL, *SHORT))


class BadInput(Exception):
    """The input, the configuration or the data is wrong: trying again gives the same answer."""


class MachineFailure(Exception):
    """The machine failed (accelerator busy, memory, disk): trying again may succeed."""


def command(
    main: Callable[..., None],
    writes: Collection[str] | None = None,
    reads: Sequence[Path] = (),
) -> None:
    """Run `main` as a command line program with this project's errors and exit codes.

    Of a step `writes` names the arguments that are its outputs. What it is given besides is held
    against what stands there at its end (`stages.running.holding`): every other path, `reads`, and
    the listing of its code, which any step takes as `--code`.

    Exit codes: 2 for `BadInput`, 75 for `MachineFailure`, for what was edited meanwhile, and where
    the machine has no memory, threads, files or disk left.
    """
    import tyro  # takes longer than a step that is handed over; see `stages`

    from stages.running import holding

    arguments, listing = sys.argv[1:], None
    if writes is not None:
        listing, arguments = split_listing(main, arguments)
        main = _held(main, writes, reads, listing)
    try:
        tyro.cli(main, args=arguments)
    except BadInput as error:
        _stop(str(error), EXIT_BAD_INPUT)
    except FloatingPointError as error:
        _stop(
            f"{error}: training diverged; lower the learning rate, then run again", EXIT_BAD_INPUT
        )
    except (MachineFailure, holding.Moved) as error:
        _stop(str(error), EXIT_MACHINE)
    except Exception as error:
        if (lack := lack_of(error)) is None:
            raise
        _stop(lack, EXIT_MACHINE)


def split_listing(main: Callable[..., None], arguments: list[str]) -> tuple[Path | None, list[str]]:
    """The listing among the arguments, and those for `main`, which may ask for it too."""
    import argparse
    import inspect

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--code", type=Path)
    found, others = parser.parse_known_args(arguments)
    is_asked_for = "code" in inspect.signature(main).parameters
    return found.code, arguments if is_asked_for else others


def _held(
    main: Callable[..., None], writes: Collection[str], reads: Sequence[Path], listing: Path | None
) -> Callable[..., None]:
    """`main`, which fails where what it was given moved, and then leaves no output."""
    import inspect

    from stages.running import holding

    @wraps(main)
    def held(*args: Any, **kwargs: Any) -> None:
        given = inspect.signature(main).bind(*args, **kwargs)
        given.apply_defaults()
        paths = {name: path for name, path in given.arguments.items() if isinstance(path, Path)}
        inputs = [path for name, path in paths.items() if name not in {*writes, *NOT_HELD}]
        holding.begin([*inputs, *reads], listing, [paths[name] for name in writes if name in paths])
        try:
            main(*args, **kwargs)
        except Exception as error:
            holding.end(error)
            raise
        except SystemExit as ended:  # of the process whose ranks did the work
            if ended.code:
                raise
        holding.end()

    return held


def lack_of(error: BaseException) -> str | None:
    """What the machine lacked, as a message; None of an error that is not the machine's.

    Libraries wrap an errno in errors of their own, so it is looked for in their words too.
    """
    for each in _chain(error):
        text = str(each).lower()
        number = each.errno if isinstance(each, OSError) else None
        if number is None and (found := IN_WORDS.search(text)):
            number = int(found[1])
        if number in FULL:
            name = getattr(each, "filename", None) or "an output"
            return (
                f"no space left on the disk while writing {name}; free space (`dvc gc -w` drops "
                "unused cache), then run again: finished work is kept"
            )
        if isinstance(each, MemoryError) or any(sign in text for sign in MEMORY):
            return "out of memory; lower the recipe's batch sizes or free memory, then run again"
        if number in SHORT or any(sign in text for sign in (*THREADS, *WORDS)):
            words = " ".join(str(each).split())
            return f"the machine lacks what this step needs ({words}); mend that, then run again"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__


def printable(text: str) -> str:
    """Text from elsewhere, fit for a terminal.

    What would move the cursor, colour or hide is written out, as `repr` does.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in KEPT else repr(each)[1:-1] for each in text
    )


def _stop(message: str, code: int) -> None:
    print(f"error: {printable(message)}", file=sys.stderr, flush=True)
    raise SystemExit(code)
