"""The gate asked anew about the rows of every round: they were made to pass it once.

Its checks are the stage's own, which an audit imports nothing of: `stages.validate.again` runs
beside it, by the code that this audit came with and never by that of the repository it reads.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import TracebackType
from typing import Any

from lineage.proof.evidence import Evidence, OutputFile
from lineage.proof.rowtables import Tables
from lineage.record.errors import AuditError, Finding
from lineage.record.flags import Flag
from lineage.record.lock import Step
from lineage.record.values import Values

ROOT = Path(__file__).parents[2]
PROGRAM = "stages.validate.again"
TABLES = (*(Flag.PROBLEMS, Flag.ROLLOUTS, Flag.SCORES, Flag.SEGMENTS, Flag.PROBES, Flag.GAINS),)
READ = (*TABLES, Flag.TEXT_FORMAT, Flag.POLICY)
WEIGHTS = ".safetensors"
"""The gate reads a policy's tokenizer, never its weights."""
Reply = Mapping[str, Any]

_replies: dict[str, Reply] = {}
"""By what was asked: equal bytes are asked about once."""


def check_gate(steps: Sequence[Step], evidence: Evidence) -> tuple[list[Finding], list[str]]:
    """What the gate says of the rounds among the steps, and notes where it cannot be asked.

    Raises:
        AuditError: the gate does not start.
    """
    findings: list[Finding] = []
    notes: list[str] = []
    with _Gate() as gate:
        for step in (step for step in steps if step.group == "validate"):
            files = _files(step, evidence)
            if files is None:
                notes.append(f"{step.name} is of an older layout: its rows were not asked about")
                continue
            reply = _reply(gate, step, files, evidence)
            if reply is None:
                continue  # bytes are lost, which is a finding already
            if reply["unread"]:
                notes.append(f"{step.name} was not asked about its rows: {reply['unread']}")
            found = [*reply["broken"], *_miscounted(step, reply["num_rows"], evidence)]
            findings += [Finding("rows", step.name, message) for message in found]
    return findings, notes


def _files(step: Step, evidence: Evidence) -> list[OutputFile] | None:
    """The files that the gate read; None where tables were no folders, or their text unmarked."""
    paths = [step.flags.get(flag) for flag in READ]
    by_path = {path: _within(path, evidence) for path in paths if path is not None}
    if None in paths or any(step.flags[flag] in evidence.files for flag in TABLES):
        return None
    return [file for files in by_path.values() for file in files]


def _within(path: str, evidence: Evidence) -> list[OutputFile]:
    inside = (file for file in evidence.files.values() if file.path.startswith(f"{path}/"))
    files = [*inside, *([evidence.files[path]] if path in evidence.files else [])]
    return [file for file in files if not file.is_list and not file.path.endswith(WEIGHTS)]


def _reply(
    gate: "_Gate", step: Step, files: Sequence[OutputFile], evidence: Evidence
) -> Reply | None:
    params = json.dumps(_nested(step.params), sort_keys=True)
    asked = json.dumps([step.command, params, sorted((file.path, file.md5) for file in files)])
    if asked not in _replies:
        with TemporaryDirectory(prefix="knowhow-audit-") as folder:
            for file in files:
                if not _laid(file, Path(folder), evidence):
                    return None
            params_file = Path(folder) / "params.yaml"
            params_file.write_text(params, encoding="utf-8")
            paths = {str(flag): str(Path(folder) / step.flags[flag]) for flag in READ}
            request = {"round_id": step.key, "params_file": str(params_file), **paths}
            reply = gate.ask(request)
            unread = (reply["unread"] or "").replace(f"{folder}/", "")
            broken = [text.replace(f"{folder}/", "") for text in reply["broken"]]
            _replies[asked] = {**reply, "broken": broken, "unread": unread}
    return _replies[asked]


def _nested(params: Values) -> dict[str, Any]:
    """Sections by dotted key, as params.yaml has them."""
    nested: dict[str, Any] = {}
    for key, value in params.items():
        *above, name = key.split(".")
        inner = nested
        for each in above:
            inner = inner.setdefault(each, {})
        inner[name] = value
    return nested


def _laid(file: OutputFile, folder: Path, evidence: Evidence) -> bool:
    """Lay down right bytes of a file, as far as there are."""
    target = folder / file.path
    stream = None if ".." in target.parts else evidence.open(file.path)
    if stream is None:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with stream, target.open("wb") as copy:
        shutil.copyfileobj(stream, copy)
    return True


def _miscounted(step: Step, num_rows: Mapping[str, int], evidence: Evidence) -> Iterator[str]:
    """Where what the gate wrote is of other tables than these."""
    written = Tables(evidence).json_of(step, Flag.VALIDATION)
    if written is None or not num_rows:
        return
    tables = written.get("tables")
    if written.get("success") is not True or not isinstance(tables, Mapping):
        yield "it let these tables through, but what it wrote says that they do not hold"
        return
    for name, number in num_rows.items():
        entry = tables.get(name)
        stated = entry.get("num_rows") if isinstance(entry, Mapping) else None
        if stated != number:
            yield f"it let through {stated} rows of {name}, and there are {number}"


class _Gate:
    """The gate's own process, started when first asked."""

    def __enter__(self) -> "_Gate":
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
        broken = f"its tables cannot be checked: the gate ended with {code}: {last}"
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
