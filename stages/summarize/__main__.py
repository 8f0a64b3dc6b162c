"""Say in a few numbers and words how it went, and draw it: policies, rounds, what is wrong by rule.

Reads   the metrics of rounds, updates and exams, and the comparisons; params.yaml `rounds`,
        `exams`, `report.training_budget_tokens`.
Writes  summary, one JSON object: `policies`, success at the training budget, each policy at its
        best temperature, and the paired difference from the nearest examined ancestor; `rounds`, a
        row a round of every chain; `findings`, what is wrong and the key to turn. And points to
        plot: success by budget, rounds, optimizer steps.
Method  `stages.pure.course.diagnosis`, of the last round of every chain against those before it
        under the same recipe, and of every examined policy.

Example: python -m stages.summarize --metrics-dir data/metrics \
         --comparisons data/report/comparisons.json --summary data/report/summary.json \
         --success data/report/points/success.json --rounds data/report/points/rounds.json \
         --steps data/report/points/steps.json
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.contracts.params.base import Count, Name, read_section
from stages.contracts.params.exam import ExamEntry
from stages.contracts.params.round import Round
from stages.contracts.policy_tree import chains
from stages.running.errors import command
from stages.running.publish import RunFacts, read_json, write_json
from stages.summarize.findings import findings_of_chain, findings_of_policy
from stages.summarize.measured import policy_row, read_exams, read_rounds, read_steps
from stages.summarize.points import round_points, step_points, success_points


def main(
    metrics_dir: Path,
    comparisons: Path,
    summary: Path,
    success: Path,
    rounds: Path,
    steps: Path,
    only_measured: bool = False,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Summarize what the metrics say; `only_measured` leaves out what is not there yet."""
    tree: dict[str, Round] = read_section(params_file, "rounds", dict[Name, Round])
    examined: dict[str, ExamEntry] = read_section(params_file, "exams", dict[Name, ExamEntry])
    budget: int = read_section(params_file, "report.training_budget_tokens", Count)
    facts = RunFacts("summarize")
    with facts.phase("summarizing"):
        measured = read_rounds(metrics_dir, tree, only_measured)
        exams = read_exams(metrics_dir / "exams", examined, only_measured)
        compared = {} if only_measured and not comparisons.exists() else read_json(comparisons)
        policies = [policy_row(name, exams, compared, tree, budget) for name in exams]
        courses = {
            chain[-1]: [measured[name] for name in chain if name in measured]
            for chain in chains(tree)
        }
        found = [finding for rows in courses.values() for finding in findings_of_chain(rows)]
        found += [finding for row in policies for finding in findings_of_policy(row)]
    rows = [{"chain": chain, **row} for chain, rows in courses.items() for row in rows]
    write_json(summary, {"policies": policies, "rounds": rows, "findings": list(distinct(found))})
    write_points(success, success_points(policies, exams))
    write_points(rounds, round_points(rows))
    write_points(steps, step_points(rows, read_steps(metrics_dir, measured)))
    facts.count(num_policies=len(policies), num_rounds=len(measured), num_findings=len(found))
    facts.write(summary)


def distinct(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each finding once: chains that share their last measured round have it in common."""
    return [dict(one) for place, one in enumerate(found) if one not in found[:place]]


def write_points(path: Path, points: Sequence[Mapping[str, Any]]) -> None:
    """Points to plot; none are no list, which DVC takes for one with points."""
    write_json(path, {"points": points} if points else {})


if __name__ == "__main__":
    command(main, writes=("summary", "success", "rounds", "steps"))
