"""Whether a policy is what its history says: bytes hashed anew, records held together, signed."""

from dataclasses import dataclass
from pathlib import Path

from lineage.proof.inspection import inspect
from lineage.proof.signing import check
from lineage.record.audit import Audit
from lineage.record.errors import Finding


@dataclass(frozen=True)
class Checked:
    """How much was looked at."""

    steps: int
    sources: int
    """Files of code and other sources that no step wrote."""
    files: int
    bytes: int
    rows: int


@dataclass(frozen=True)
class Verification:
    """What was checked, and what is not as it should be."""

    policy: str
    commit: str
    checked: Checked
    notes: list[str]
    findings: list[Finding]


def verify(
    audit: Audit, policy: str, public_key: Path | None = None, ask_gate: bool = True
) -> Verification:
    """Check a policy, all before it, and their exams; with `ask_gate` their rounds by the gate too.

    Raises:
        AuditError: there is no such policy, or the key is no key.
    """
    inspection = inspect(audit, policy, ask_gate)
    evidence = inspection.evidence
    signed, notes = check(audit, policy, evidence, public_key)
    return Verification(
        policy=policy,
        commit=audit.tree.commit,
        checked=Checked(
            steps=len(inspection.steps),
            sources=inspection.num_sources,
            files=evidence.num_files,
            bytes=evidence.num_bytes,
            rows=inspection.num_rows,
        ),
        notes=[*inspection.notes, *notes],
        findings=sorted({*inspection.findings, *signed}),
    )
