"""All that is checked of a policy's bytes, steps and rows without a statement: what `sign` and `verify` ask first."""

from dataclasses import dataclass

from lineage.proof.evidence import Evidence, gather
from lineage.proof.history import check_objects, uncommitted
from lineage.proof.rowchecks import check_rows
from lineage.proof.wiring import check_wiring
from lineage.record.audit import Audit
from lineage.record.errors import AuditError, Finding
from lineage.record.lock import Step
from lineage.telling.words import counted

EXAM = ("examine", "evaluate")
SHOWN = 5


@dataclass(frozen=True)
class Inspection:
    """What was looked at, and what was found."""

    steps: list[Step]
    evidence: Evidence
    findings: list[Finding]
    notes: list[str]
    num_rows: int
    num_sources: int


def inspect(audit: Audit, policy: str) -> Inspection:
    """Check everything the policy came from, and the exams of it and of the policies before it.

    Raises:
        AuditError: git cannot give what is asked of it.
    """
    broken = list(check_objects(audit.tree))
    if broken and audit.tree.root is None:
        raise AuditError(f"git is not to be believed at {audit.tree.commit[:12]}: {broken[0]}")
    steps = steps_of(audit, policy)
    evidence = gather(audit, steps)
    rows, num_rows = check_rows(audit.graph, steps, evidence)
    found = [*broken, *evidence.findings, *check_wiring(audit, steps, evidence), *rows]
    read = {dep.path for step in steps for dep in step.deps if audit.graph.maker(dep.path) is None}
    sources = read.union(*(step.code for step in steps))
    return Inspection(steps, evidence, found, [*_notes(audit, steps), *evidence.notes], num_rows, len(sources))


def steps_of(audit: Audit, policy: str) -> list[Step]:
    """The steps before a policy, and the exams on the way, parents first."""
    before = audit.graph.ancestors(audit.graph.policy(policy))
    policies = {step.key for step in before if audit.graph.policies.get(step.key) is step}
    exams = [step for step in audit.graph.steps.values() if step.group in EXAM and step.key in policies]
    return audit.graph.ancestors(*before, *exams)


def _notes(audit: Audit, steps: list[Step]) -> list[str]:
    changed = uncommitted(audit.tree)
    notes = [f"not as in commit {audit.tree.commit[:12]}: {some(changed)}"] if changed else []
    if others := len(audit.graph.steps) - len(steps):
        notes.append(f"no part in this policy: {counted(others, 'step')} of dvc.lock")
    return notes


def some(names: list[str]) -> str:
    """The first of them."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
