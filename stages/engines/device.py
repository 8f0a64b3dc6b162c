"""One accelerator job at a time on a machine.

The operating system's lock that sees to it dies with its holder.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.running.errors import BadInput, MachineFailure

DEVICE = "KNOWHOW_DEVICE"
WAIT_SECONDS = "KNOWHOW_DEVICE_WAIT_SECONDS"
CPU_LOCK = Path("data/.scratch/device.lock")
GPU_NODE = Path("/dev/nvidia0")
POLL_SECONDS = 0.2


def device() -> str:
    """`cuda` or `cpu`: what `KNOWHOW_DEVICE` says, else what the machine has.

    Raises:
        BadInput: the variable names something else, or a GPU this machine does not have.
    """
    wanted = os.environ.get(DEVICE, "cuda" if GPU_NODE.exists() else "cpu")
    if wanted not in ("cpu", "cuda"):
        raise BadInput(f"{DEVICE}={wanted}: choose from cpu, cuda, or leave it unset")
    if wanted == "cuda" and not GPU_NODE.exists():
        raise BadInput(
            f"{DEVICE}=cuda, but this machine has no {GPU_NODE}; unset it to run on the CPU"
        )
    return wanted


@contextmanager
def exclusive_device(stage: str) -> Iterator[None]:
    """Hold the accelerator alone while the block runs.

    The lock is `flock` on the GPU's device node, so it spans every checkout on the machine; without
    a GPU it is on a file of this checkout. The kernel frees it when the holder dies, however it
    dies. Waits `KNOWHOW_DEVICE_WAIT_SECONDS` (a day unless set).

    Raises:
        MachineFailure: the accelerator was not free in time.
    """
    node = GPU_NODE if device() == "cuda" else CPU_LOCK
    if node == CPU_LOCK:
        node.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(node, os.O_RDONLY if node == GPU_NODE else os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait(descriptor, node, stage)
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, node: Path, stage: str) -> None:
    patience = float(os.environ.get(WAIT_SECONDS, "86400"))
    begin = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - begin >= patience:
                raise MachineFailure(
                    f"{stage}: no free accelerator: another job has held {node} for {patience:g} "
                    f"s; see who with `fuser -v {node}`, or raise {WAIT_SECONDS}"
                ) from None
            time.sleep(POLL_SECONDS)
        else:
            return
