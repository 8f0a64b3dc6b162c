"""All that is checked of a policy without a statement: what `sign` and `verify` ask first."""

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.proof.evidence import Evidence
from lineage.proof.gate.check import check_gate
from lineage.proof.gathering import gather
from lineage.proof.history import check_objects, uncommitted
from lineage.proof.rowchecks import check_rows
from lineage.proof.wiring import check_wiring
from lineage.record.audit import Audit
from lineage.record.errors import AuditError, Finding, counted, first_few
from lineage.record.flags import EXAM_STEPS
from lineage.record.lock import Step

NOT_ASKED = "the gate was not asked about the rows of rounds"


@dataclass(frozen=True)
class Inspection:
    """What was looked at, and what is not as it should be."""

    steps: list[Step]
    evidence: Evidence
    findings: list[Finding]
    notes: list[str]
    num_rows: int
    num_sources: int


def inspect(audit: Audit, policy: str, ask_gate: bool = True) -> Inspection:
    """Check everything the policy came from, and the exams of it and of the policies before it.

    With `ask_gate` every round's rows are held against the gate's expectations again.

    Raises:
        AuditError: git cannot give what is asked of it.
    """
    broken = list(check_objects(audit.tree))
    if broken and audit.tree.root is None:
        raise AuditError(f"git is not to be believed at {audit.tree.commit[:12]}: {broken[0]}")
    steps = steps_of(audit, policy)
    evidence = gather(audit, steps)
    rows, num_rows = check_rows(audit.graph, steps, evidence)
    gated, unasked = check_gate(steps, evidence) if ask_gate else ([], [NOT_ASKED])
    wiring = check_wiring(audit, steps, evidence)
    sources: set[str] = set()
    for step in steps:
        sources.update(step.code)
        sources |= {dep.path for dep in step.deps if audit.graph.maker(dep.path) is None}
    return Inspection(
        steps=steps,
        evidence=evidence,
        findings=[*broken, *evidence.findings, *wiring, *rows, *gated],
        notes=[*_notes(audit, steps), *evidence.notes, *unasked],
        num_rows=num_rows,
        num_sources=len(sources),
    )


def steps_of(audit: Audit, policy: str) -> list[Step]:
    """The steps before a policy, and the exams on the way, parents first."""
    before = audit.graph.ancestors(audit.graph.policy(policy))
    policies = {step.key for step in before if audit.graph.policies.get(step.key) is step}
    every = audit.graph.steps.values()
    exams = [step for step in every if step.group in EXAM_STEPS and step.key in policies]
    return audit.graph.ancestors(*before, *exams)


def _notes(audit: Audit, steps: Sequence[Step]) -> list[str]:
    changed = uncommitted(audit.tree)
    notes = []
    if changed:
        notes.append(f"not as in commit {audit.tree.commit[:12]}: {first_few(changed)}")
    if others := len(audit.graph.steps) - len(steps):
        notes.append(f"no part in this policy: {counted(others, 'step')} of dvc.lock")
    return notes
