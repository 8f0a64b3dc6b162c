"""The gate's own process: the stage's checks, by the code that this audit came with.

Never by that of the repository it reads.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from lineage.record.errors import AuditError

ROOT = Path(__file__).parents[3]
PROGRAM = "stages.validate.again"
Reply = Mapping[str, Any]
"""What `stages.validate.again` answers about a round."""


class Gate:
    """The gate's own process, started when first asked."""

    def __enter__(self) -> "Gate":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if "_process" in self.__dict__:
            self._process.kill()
            self._process.communicate()
            self._said.close()

    def ask(self, request: Mapping[str, str]) -> Reply:
        """What it says of a round.

        Raises:
            AuditError: it does not start.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            reply: Reply = json.loads(line)
            return reply
        return self._died()

    def _died(self) -> Reply:
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        self.__exit__(None, None, None)
        for name in ("_process", "_said"):
            del self.__dict__[name]
        if "ModuleNotFoundError" in last or "No module named" in last:
            raise AuditError(
                f"the gate cannot be asked about rows: {last}; install the packages of Knowhow, or "
                "ask `knowhow audit verify --no-gate`"
            )
        message = f"its tables cannot be checked: the gate ended with {code}: {last}"
        broken = {"message": message, "rule": None}
        return {"broken": [broken], "num_rows": {}, "unread": None}

    @cached_property
    def _said(self) -> Any:
        return TemporaryFile()

    @cached_property
    def _process(self) -> subprocess.Popen[str]:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.Popen(
            [sys.executable, "-P", "-m", PROGRAM],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
        )
