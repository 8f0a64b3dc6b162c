"""What is known of rounds and policies: rows of plain numbers, read from their metrics."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from stages.contracts.policy_tree import Rounds, ancestors
from stages.running.publish import read_json

Row = dict[str, Any]
SUCCESS = {"success": "mean", "success_low": "low", "success_high": "high"}


def read_rounds(metrics_dir: Path, rounds: Rounds, only_measured: bool) -> dict[str, Row]:
    """A row of each round: where it stands in its chain, what its rollouts and its update were.

    With `only_measured` rounds that are not scored are left out, and of those that are not updated
    the numbers of the update.

    Raises:
        BadInput: a file is missing or spoilt.
    """
    rows = {}
    for name, entry in rounds.items():
        scored = metrics_dir / "summary" / "rounds" / f"{name}.json"
        updated = metrics_dir / "updates" / f"{name}.json"
        if only_measured and not scored.exists():
            continue
        line = ancestors(rounds, name)
        rows[name] = {
            "round": name,
            "number": len(line) - 1,
            "policy": entry.parent,
            "recipe": entry.recipe,
            "init": line[-1],
            **read_json(scored),
        }
        if updated.exists() or not only_measured:
            rows[name] |= read_json(metrics_dir / "summary" / "updates" / f"{name}.json")
            rows[name]["first_entropy_nats"] = read_json(updated)["entropy_nats"]["first"]
    return rows


def read_steps(metrics_dir: Path, names: Collection[str]) -> dict[str, list[Row]]:
    """The optimizer steps of each round that has any."""
    steps = {}
    for name in names:
        path = metrics_dir / "curves" / "updates" / f"{name}.json"
        if path.exists():
            steps[name] = read_json(path)["steps"]
    return steps


def read_exams(folder: Path, examined: Collection[str], only_measured: bool) -> dict[str, Row]:
    """The metrics of all problems of each exam.

    Raises:
        BadInput: a file is missing or spoilt.
    """
    paths = {policy: folder / f"{policy}.json" for policy in examined}
    return {
        policy: read_json(path)["all"]
        for policy, path in paths.items()
        if path.exists() or not only_measured
    }


def policy_row(
    policy: str,
    exams: Mapping[str, Row],
    comparisons: Mapping[str, Any],
    rounds: Rounds,
    budget_tokens: int,
) -> Row:
    """Success of one policy at the training budget, and against its nearest examined ancestor."""
    exam, at = exams[policy], f"budget_{budget_tokens}"
    row = {
        "policy": policy,
        "temperature": exam["temperature"],
        "budget_tokens": budget_tokens,
        "num_problems": exam["num_problems"],
        **{name: exam["success"][at][key] for name, key in SUCCESS.items()},
    }
    against = next((name for name in ancestors(rounds, policy)[1:] if name in exams), None)
    gain = gained(policy, against, comparisons, at) if against else None
    if gain is None:
        return row
    recipe = rounds[policy].recipe
    return {**row, "against": against, "recipe": recipe, **gain}


def gained(
    later: str, earlier: str, comparisons: Mapping[str, Any], at: str
) -> dict[str, float | None] | None:
    """Later less earlier policy in success, with its interval; None where it is not there yet."""
    if pair := comparisons.get(f"{later}_minus_{earlier}"):
        of = pair["all"][at]
        return {"gain": of["mean"], "gain_low": of["low"], "gain_high": of["high"]}
    if pair := comparisons.get(f"{earlier}_minus_{later}"):  # in the order of `exams`
        of = {side: None if value is None else -value for side, value in pair["all"][at].items()}
        return {"gain": of["mean"], "gain_low": of["high"], "gain_high": of["low"]}
    return None
