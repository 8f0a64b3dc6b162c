"""The other programs that a night runs, DVC and the audit, each within its deadline."""

import subprocess
import sys

from prefect import get_run_logger

from flows.nights import worktree
from flows.nights.settings import Settings
from flows.project.printable import without_secrets


class Unfinished(Exception):
    """The night could not come to its end: started again, it goes on. Says what prevented it."""


def dvc(settings: Settings, command: str, *options: str) -> None:
    """Exchange data with the remote.

    Raises:
        Unfinished: it failed, or took longer than a stage may.
    """
    remote = ["--remote", settings.remote] if settings.remote else []
    _run(settings, "dvc", "--wait-for-lock", command, *remote, *options)


def sign(settings: Settings, policy: str) -> None:
    """Attest how a policy was made, where there is a key to sign with.

    Raises:
        Unfinished: it failed, or took longer than a stage may.
    """
    if settings.signing_key is not None:
        key = worktree.HOME / settings.signing_key  # which may stand relative to the checkout
        _run(settings, "lineage", "sign", policy, "--key", str(key))


def _run(settings: Settings, module: str, *arguments: str) -> None:
    what = f"{module} {next(word for word in arguments if not word.startswith('-'))}"
    get_run_logger().info("%s", what)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=settings.deadline_seconds,
        )
    except subprocess.TimeoutExpired:
        raise Unfinished(f"{what} was not done in {settings.deadline_seconds:g} s") from None
    if done.returncode:
        why = without_secrets(" ".join(done.stderr.split()))
        raise Unfinished(f"{what} failed with exit code {done.returncode}: {why}")
