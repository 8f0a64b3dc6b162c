"""One message, one exit code: 2 when trying again is useless, 75 when it may help."""

import errno
import subprocess
import sys
from collections.abc import Callable

import pytest

from stages.running.errors import BadInput, MachineFailure, command
from stages.running.holding import Moved


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def allocate_too_much() -> None:
    import torch

    torch.empty(2**52)


@pytest.fixture(autouse=True)
def _no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stage"])


@pytest.mark.parametrize(
    ("main", "code", "message"),
    [
        (raising(BadInput("params.yaml: no such key")), 2, "params.yaml: no such key"),
        (raising(MachineFailure("no free accelerator")), 75, "no free accelerator"),
        (raising(MemoryError()), 75, "out of memory"),
        (
            raising(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
            75,
            "out of memory",
        ),
        (allocate_too_much, 75, "out of memory"),
        (raising(OSError(errno.ENOSPC, "No space left on device", "a.parquet")), 75, "a.parquet"),
        (raising(OSError(errno.EDQUOT, "Disk quota exceeded")), 75, "no space left"),
        (raising(OSError(errno.EACCES, "Permission denied")), 75, "Permission denied"),
        (raising(RuntimeError("can't start new thread")), 75, "can't start new thread"),
        (raising(Moved(["params.yaml: task"])), 75, "params.yaml: task"),
    ],
    ids=[
        *("bad_input", "machine", "memory", "gpu_memory", "torch_memory", "disk", "quota"),
        *("permission", "threads", "moved"),
    ],
)
def test_a_known_failure_is_one_line_and_a_code(
    main: Callable[[], None], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command(main)
    out, err = capsys.readouterr()
    assert stopped.value.code == code
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("error", [KeyError("x"), FileNotFoundError("y"), RuntimeError("shape")])
def test_an_unknown_failure_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        command(raising(error))


def test_success_returns() -> None:
    command(lambda: None)


@pytest.mark.parametrize(("kind", "code"), [("BadInput", 2), ("MachineFailure", 75)])
def test_a_program_ends_with_the_code_and_without_a_traceback(kind: str, code: int) -> None:
    script = f"""
from stages.running.errors import {kind}, command
def main(path: str) -> None:
    raise {kind}(f"{{path}} will not do")
command(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "--path", "a b"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "error: a b will not do\n")
