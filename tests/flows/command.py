"""The `knowhow` command of this tree, run in any folder."""

import subprocess
import sys
from pathlib import Path

from fixtures.checkouts import ROOT, run


def knowhow(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return run(command, folder, PYTHONPATH=str(ROOT), **environment)


def imported_by(folder: Path, *arguments: str) -> set[str]:
    """The modules that it imports, run with these arguments; it must succeed."""
    command = [sys.executable, "-X", "importtime", "-m", "flows.cli", *arguments]
    done = run(command, folder, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
