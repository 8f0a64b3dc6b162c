"""What the machine lacked, told from what is wrong with bytes: an error may be either's.

Libraries wrap an errno in errors of their own, so it is looked for in their words too. This file
imports nothing that needs memory: it has to answer where there was none to load a library.
"""

import errno
import os
import re
from collections.abc import Iterator

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


def want(error: BaseException) -> str | None:
    """What to tell of an error that is the machine's; None of any other."""
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
            return f"the machine has not what this step needs ({words}); mend that, then run again"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__
