"""How close a policy that was made anew came, for a terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from lineage.answers.comparison import BIT_EQUAL, DIFFERENT, Comparison, FileDistance

STYLES = {BIT_EQUAL: "green", DIFFERENT: "red"}


def text(answer: Comparison) -> RenderableType:
    """The verdict, then each step that differs: with what, by how much, and why."""
    head = (
        f"{answer.policy} of commit {answer.commit[:12]}, made anew in {answer.num_steps} steps: "
    )
    style = f"bold {STYLES.get(answer.verdict, 'yellow')}"
    lines = [Text.assemble(head, (answer.verdict, style))]
    if answer.first:
        tolerance = f"{answer.tolerance.absolute:g} + {answer.tolerance.relative:g} of the number"
        lines.append(Text(f"differs from step {answer.first} on; close is within {tolerance}"))
    for step in answer.steps:
        lines.append(Text(f"  {step.step}", "bold"))
        lines += [Text(f"    {_line(out)}") for out in step.outs]
        lines += [Text(f"    why: {reason}", "dim") for reason in step.reasons]
    return Group(*lines)


def _line(out: FileDistance) -> str:
    if out.unknown:
        return f"{out.path} different, by how much is unknown: {out.unknown}"
    by = f", by {out.largest:.2g} at most" if out.largest is not None else ""
    return f"{out.path} {'close' if out.is_close else 'different'}{by}"
