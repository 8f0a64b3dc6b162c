"""The rows that trained a policy, in a terminal."""

from pathlib import Path

from lineage.answers.rows import rows
from lineage.record.audit import open_audit
from lineage.telling.rowtext import text
from tests.lineage.chain import printed
from tests.lineage.forging import cover_up, edited

LEDGER = "data/rounds/s1/ledger.parquet"


def test_people_see_a_table(audited: Path) -> None:
    lines = printed(text(rows(open_audit(audited, None), "s1"))).splitlines()
    assert "zero_advantage: no token has an advantage" in lines
    assert "260 different problems trained s1 and its ancestors" in lines
    [line] = [line for line in lines if line.startswith("r0")]
    assert line.split()[:5] == ["r0", "demonstration", "trained", "8,000", "260"]
    [after] = [lines[place + 2] for place, line in enumerate(lines) if line.startswith("s1")]
    assert after.split()[:2] == ["sum", "96"]


def test_findings_come_last(copy: Path) -> None:
    edited(copy / LEDGER, "status", lambda values: ["forgotten", *values[1:]])
    cover_up(copy, LEDGER)
    lines = printed(text(rows(open_audit(copy, None), "s1")), 200).splitlines()
    findings = [line.startswith(f"unknown status: {LEDGER}: 1 status(es)") for line in lines]
    summary = lines.index("260 different problems trained s1 and its ancestors")
    assert any(findings[summary:])
