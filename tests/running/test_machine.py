"""What the machine lacks is told from what is wrong with bytes, in whatever words it comes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from stages.running.errors import lack_of

ROOT = Path(__file__).parents[2]


def caused(outer: Exception, cause: Exception) -> Exception:
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory"),
        (pa.ArrowMemoryError("malloc of size 4 failed"), "out of memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out of memory"),
        (RuntimeError("std::bad_alloc"), "out of memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "out of memory"),
        (
            OSError(
                "Unknown error: Failed to launch worker thread: Resource temporarily unavailable"
            ),
            "worker thread",
        ),
        (RuntimeError("can't start new thread"), "new thread"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "Permission denied"),
        (Exception("Permission denied (os error 13)"), "os error 13"),
        (Exception("I/O error: Too many open files (os error 24)"), "os error 24"),
        (OSError("Failed to open local file 'a'. Detail: [errno 24] Too many open"), "errno 24"),
        (Exception("No space left on device (os error 28)"), "no space left on the disk"),
        (caused(ValueError("cannot load"), MemoryError()), "out of memory"),
    ],
)
def test_the_machines_own(error: Exception, said: str) -> None:
    assert said in (lack_of(error) or "")


@pytest.mark.parametrize(
    "error",
    [
        OSError("Could not verify page integrity, CRC checksum verification failed"),
        OSError("Couldn't deserialize thrift: TProtocolException: Invalid data"),
        pa.ArrowInvalid("Parquet magic bytes not found in footer"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "model.safetensors"),
        ValueError("Error while deserializing header: header too small"),
        ImportError("cannot import name 'x'"),
        KeyError("weights"),
    ],
)
def test_not_the_machines(error: Exception) -> None:
    assert lack_of(error) is None


SHORT_OF_MEMORY = """
import sys
sys.orig_argv[1:3] = ["-m", "stages.prepare"]
import stages
raise ImportError("libtorch.so: failed to map segment from shared object")
"""


def test_a_library_that_memory_was_too_short_to_load_ends_a_step_with_75() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, "--problems"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 75, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: out of memory")
