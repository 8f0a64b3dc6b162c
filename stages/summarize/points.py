"""Rows as points to plot: `line` says which line a point is of."""

from collections.abc import Mapping, Sequence

from stages.summarize.measured import Row

NORMAL_95 = 1.96  # standard errors to either side


def success_points(policies: Sequence[Row], exams: Mapping[str, Row]) -> list[Row]:
    """Success of each policy at its best temperature by budget, tokens, with its interval."""
    points = []
    for row in policies:
        line = f"{row['policy']} at {row['temperature']:g}"
        curve = exams[row["policy"]]["success"]
        budgets = sorted(int(name.removeprefix("budget_")) for name in curve)
        for budget in budgets:
            at = curve[f"budget_{budget}"]
            points.append(
                {
                    "line": line,
                    "budget_tokens": budget,
                    "success": at["mean"],
                    "success_low": at["low"],
                    "success_high": at["high"],
                }
            )
    return points


def round_points(rows: Sequence[Row]) -> list[Row]:
    """Reward and success of each round, with the interval of success over problems."""
    points = []
    for row in rows:
        if row["success"] is not None:
            error = NORMAL_95 * (row["success_stderr"] or 0.0)
            points.append(
                {
                    "line": row["chain"],
                    **{name: row[name] for name in ("round", "number", "reward", "success")},
                    "success_low": max(0.0, row["success"] - error),
                    "success_high": min(1.0, row["success"] + error),
                }
            )
    return points


def step_points(rows: Sequence[Row], steps: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Loss, KL from the sampling policy and entropy, nats, by step, counted along each chain."""
    points: list[Row] = []
    done: dict[str, int] = {}
    for row in rows:
        chain = row["chain"]
        for record in steps.get(row["round"], ()):
            done[chain] = done.get(chain, 0) + 1
            points.append(
                {
                    "line": chain,
                    "round": row["round"],
                    "step": done[chain],
                    **{name: record[name] for name in ("loss", "kl_nats", "entropy_nats")},
                }
            )
    return points
