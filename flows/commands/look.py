"""`knowhow look`: how training goes or went, and what is wrong with it, by rule."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from flows.commands.views import console
from flows.project.paths import REPORT

EXAMPLES = """\b
Examples:
  knowhow look                        policies, a row a round, and what to turn; also during a run
  knowhow look --short                as a run ends
  knowhow look --json | jq '.rounds[] | [.round, .reward]'"""
GUIDE = "docs/when-success-does-not-rise.md"
MAX_POLICIES = 4
COLUMNS = (
    ("REWARD", "reward", ".3f"),
    ("SUCCESS", "success", ".1%"),
    ("THINKING TOKENS", "thinking_tokens", ".1f"),
    ("ONE OUTCOME", "one_outcome_frac", ".0%"),
    ("UNPARSABLE", "unparsable_frac", ".0%"),
    ("REPEATED", "repeat_frac", ".0%"),
    ("ENTROPY", "entropy_nats", ".3f"),
    ("KL", "kl_nats", ".4f"),
    ("LARGEST |A|", "max_abs_advantage", ".2f"),
)
"""Head, number and format of what is shown of each round."""

Row = Mapping[str, Any]


def look(
    is_short: Annotated[
        bool, typer.Option("--short", help="Without the rounds, as a run ends.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: policies, rounds, findings.")
    ] = False,
) -> None:
    """Show how training goes: success of policies, a row a round, and what is wrong, by rule.

    Each finding names the key of params.yaml to turn. What is not measured yet is left out, so it
    answers during a run too. Ends with 0 whatever is found.
    """
    from flows.running.summary import NoSummary, summarize

    try:
        summary = summarize()
    except NoSummary as error:
        console.stop(error)
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    if not is_short and summary["rounds"]:
        print("\n".join([*round_lines(summary["rounds"]), ""]))
    print("\n".join(end_lines(summary)))


def tell_end() -> None:
    """Say how a run ended; where that is not known, why, which changes nothing of how it ended."""
    from flows.running.summary import NoSummary, summarize

    try:
        print("\n".join(end_lines(summarize())), flush=True)
    except NoSummary as error:
        console.say(f"not summarized: {error}")


def end_lines(summary: Row) -> list[str]:
    """How a run ended: the policies, what is wrong, where to read on."""
    found = [finding_line(finding) for finding in summary["findings"]]
    nothing = "no rule finds anything wrong" if summary["rounds"] or summary["policies"] else ""
    read_on = f"read on: {REPORT}, `knowhow look`, {GUIDE}"
    return [*policy_lines(summary["policies"]), *(found or filter(None, [nothing])), read_on]


def policy_lines(policies: Sequence[Row]) -> Iterator[str]:
    """Success of the last examined policies with intervals, and against their parents."""
    if not policies:
        yield "no policy is examined yet"
        return
    first = policies[0]
    yield (
        f"success at {first['budget_tokens']} tokens, {first['num_problems']} held-out problems of "
        "all difficulties, each policy at its best temperature"
    )
    yield from console.aligned([policy_cells(row) for row in policies[-MAX_POLICIES:]])
    if len(policies) > MAX_POLICIES:
        yield f"and {len(policies) - MAX_POLICIES} before, in the report"


def policy_cells(row: Row) -> list[str]:
    """One policy in columns."""
    ends = f"[{number(row['success_low'], '.1%')}, {number(row['success_high'], '.1%')}]"
    cells = [f"  {row['policy']}", f"{number(row['success'], '.1%')} {ends}"]
    cells.append(f"at {row['temperature']:g}")
    if "against" not in row:
        return [*cells, ""]
    gain, low, high = (points(row[name]) for name in ("gain", "gain_low", "gain_high"))
    return [*cells, f"{gain} points [{low}, {high}] against {row['against']}"]


def round_lines(rounds: Sequence[Row]) -> list[str]:
    """A row a round of each chain, under a head."""
    head = ["CHAIN", "ROUND", *(title for title, _, _ in COLUMNS)]
    rows = [
        [row["chain"], row["round"], *(number(row.get(name), form) for _, name, form in COLUMNS)]
        for row in rounds
    ]
    return console.aligned([head, *rows])


def finding_line(finding: Row) -> str:
    """What is wrong, and the key to turn."""
    mark = console.styled("!", typer.colors.YELLOW)
    return f"{mark} {console.plainly(finding['message'])}; turn {finding['key']}: {finding['cure']}"


def number(value: float | None, form: str) -> str:
    """A number as text, a dash for none."""
    return "-" if value is None else format(value, form)


def points(fraction: float | None) -> str:
    """A difference of fractions in percentage points."""
    return "-" if fraction is None else f"{100 * fraction:+.1f}"
