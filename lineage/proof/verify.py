"""Whether a policy is what its history says: every byte hashed anew, every record held to the others, its signature."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.filesize import decimal
from rich.text import Text

from lineage.proof.inspection import inspect
from lineage.proof.signing import check
from lineage.record.audit import Audit
from lineage.telling.words import counted

SHOWN = 8


def verify(audit: Audit, policy: str, public_key: Path | None = None) -> dict[str, Any]:
    """Check a policy, all before it, and their exams.

    Raises:
        AuditError: there is no such policy, or the key is none.
    """
    inspection = inspect(audit, policy)
    signed, notes = check(audit, policy, inspection.evidence, public_key)
    return {
        "policy": policy,
        "commit": audit.tree.commit,
        "checked": {
            "steps": len(inspection.steps),
            "sources": inspection.num_sources,
            "files": inspection.evidence.num_files,
            "bytes": inspection.evidence.num_bytes,
            "rows": inspection.num_rows,
        },
        "notes": [*inspection.notes, *notes],
        "findings": [asdict(finding) for finding in sorted({*inspection.findings, *signed})],
    }


def text(found: Mapping[str, Any]) -> Group:
    """The verdict, then what was found, by check."""
    findings, checked = found["findings"], found["checked"]
    verdict = (
        Text(counted(len(findings), "finding"), "bold red") if findings else Text("all as it should be", "bold green")
    )
    lines = [
        Text.assemble((found["policy"], "bold"), f" at {found['commit'][:12]}: ", verdict),
        Text(
            f"checked: {checked['steps']} steps, {checked['sources']} sources, {checked['files']:,} files hashed "
            f"({decimal(checked['bytes'])}), {checked['rows']:,} rows"
        ),
    ]
    by_check: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for finding in findings:
        by_check[finding["check"]].append(finding)
    return Group(*lines, *(Text(f"note: {note}", "dim") for note in found["notes"]), *_grouped(by_check))


def _grouped(by_check: Mapping[str, Sequence[Mapping[str, str]]]) -> list[Text]:
    lines = []
    for name, group in by_check.items():
        lines.append(Text(name, "bold"))
        lines += [Text(f"  {finding['subject']}: {finding['message']}") for finding in group[:SHOWN]]
        if len(group) > SHOWN:
            lines.append(Text(f"  and {len(group) - SHOWN} more; --json has all"))
    return lines
