"""Programs of `stages` that answer at once: what they print, or why they end with an error."""

import os
import subprocess
import sys


class ProgramFailed(Exception):
    """A program ended with an error."""

    def __init__(self, module: str, exit_code: int, said: str) -> None:
        super().__init__(module, exit_code, said)
        self.module, self.exit_code, self.said = module, exit_code, said.strip()

    @property
    def error(self) -> str:
        """The error that it told, behind bars of progress; empty where it told none."""
        return self.said.partition("error: ")[2]

    @property
    def last_line(self) -> str:
        """The last that it said."""
        return (self.said.splitlines() or ["no output"])[-1]

    def __str__(self) -> str:
        ended = f"`python -m {self.module}` ended with exit code {self.exit_code}"
        return self.error or f"{ended}: {self.last_line}"


def output_of(module: str, *arguments: str, given: str | None = None) -> str:
    """What a program prints; `given` is its standard input.

    Raises:
        ProgramFailed: it ended with an error.
    """
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # some families draw by it
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, input=given, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ProgramFailed(module, done.returncode, done.stderr)
    return done.stdout
