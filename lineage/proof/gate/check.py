"""The gate asked anew about the rows of every round: they passed it once.

Its checks are the stage's own. An audit imports nothing of a stage, so they run beside it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lineage.proof.evidence import Evidence, OutputFile
from lineage.proof.gate.process import ROOT, Gate, Reply
from lineage.proof.rowtables import Tables
from lineage.record.code_digest import is_listed
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.lock import Step
from lineage.record.values import Values, section

TABLES = (*(Flag.PROBLEMS, Flag.ROLLOUTS, Flag.SCORES, Flag.SEGMENTS, Flag.PROBES, Flag.GAINS),)
READ = (*TABLES, Flag.TEXT_FORMAT, Flag.POLICY)
WEIGHTS = ".safetensors"
"""The gate reads a policy's tokenizer, never its weights."""
_replies: dict[str, Reply] = {}
"""By what was asked: equal bytes are asked about once."""


def check_gate(steps: Sequence[Step], evidence: Evidence) -> tuple[list[Finding], list[str]]:
    """What the gate says of the rounds among the steps, and notes where it cannot be asked.

    Raises:
        AuditError: the gate does not start.
    """
    findings: list[Finding] = []
    notes: list[str] = []
    with Gate() as gate:
        for step in (step for step in steps if step.group == "validate"):
            files = _files(step, evidence)
            if files is None:
                notes.append(f"{step.name} is of an older layout: its rows were not asked about")
                continue
            reply = _reply(gate, step, files, evidence)
            if reply is None:
                continue  # bytes are lost, which is a finding already
            for message, is_certain in _told(step, reply, evidence):
                if is_certain:
                    findings.append(Finding("rows", step.name, message))
                else:
                    notes.append(f"{step.name}, by today's gate: {message}")
    return findings, notes


def _told(step: Step, reply: Reply, evidence: Evidence) -> Iterator[tuple[str, bool]]:
    """What the gate says of a round, each with whether that is certain.

    A gate of other code let it through: a rule that it did not state may be one that came later,
    and settings and columns may be what was usual then.
    """
    written = Tables(evidence).json_of(step, Flag.VALIDATION)
    is_same = bool(step.code) and all(_is_ours(*entry) for entry in step.code.items())
    stated = [*_rules(written or {})]
    if reply["unread"]:
        yield reply["unread"], is_same
    for broken in reply["broken"]:
        rule = broken["rule"]
        yield broken["message"], is_same or rule is None or rule in stated
    if written is not None and reply["num_rows"]:
        for message in _miscounted(written, reply["num_rows"]):
            yield message, True


def _is_ours(path: str, digest: str) -> bool:
    file = ROOT / path
    return file.is_file() and is_listed(path, file.read_bytes(), digest)


def _rules(written: Values) -> Iterator[list[object]]:
    """The rules that the gate says held."""
    tables = section(written, "tables")
    for table in tables:
        expectations = section(tables, table).get("expectations")
        for entry in expectations if isinstance(expectations, list) else ():
            if isinstance(entry, Mapping):
                yield [table, *(entry.get(name) for name in ("type", "column", "notes"))]


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
    gate: "Gate", step: Step, files: Sequence[OutputFile], evidence: Evidence
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
            text = json.dumps(reply).replace(f"{folder}/", "")
            _replies[asked] = json.loads(text)
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


def _miscounted(written: Values, num_rows: Mapping[str, int]) -> Iterator[str]:
    """Where what the gate wrote is of other tables than these."""
    tables = section(written, "tables")
    if written.get("success") is not True:
        yield "an update trained on its tables, and what it wrote says that they do not hold"
    for name, number in num_rows.items():
        stated = section(tables, name).get("num_rows")
        if stated != number:
            yield f"it let through {stated} rows of {name}, and there are {number}"
