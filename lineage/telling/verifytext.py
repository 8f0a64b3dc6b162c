"""What was checked of a policy and what is not as it should be, for a terminal."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.filesize import decimal
from rich.text import Text

from lineage.proof.verify import Verification
from lineage.record.errors import Finding, counted

SHOWN = 8


def text(answer: Verification) -> Group:
    """The verdict, then what was found, by check."""
    verdict = Text("all as it should be", "bold green")
    if answer.findings:
        verdict = Text(counted(len(answer.findings), "finding"), "bold red")
    checked = answer.checked
    lines = [
        Text.assemble((answer.policy, "bold"), f" at {answer.commit[:12]}: ", verdict),
        Text(
            f"checked: {checked.steps} steps, {checked.sources} sources, {checked.files:,} files "
            f"hashed ({decimal(checked.bytes)}), {checked.rows:,} rows"
        ),
    ]
    by_check: dict[str, list[Finding]] = defaultdict(list)
    for finding in answer.findings:
        by_check[finding.check].append(finding)
    notes = [Text(f"note: {note}", "dim") for note in answer.notes]
    return Group(*lines, *notes, *_grouped(by_check))


def _grouped(by_check: Mapping[str, Sequence[Finding]]) -> list[Text]:
    lines = []
    for name, group in by_check.items():
        lines.append(Text(name, "bold"))
        lines += [Text(f"  {finding.subject}: {finding.message}") for finding in group[:SHOWN]]
        if len(group) > SHOWN:
            lines.append(Text(f"  and {len(group) - SHOWN} more; --json has all"))
    return lines
