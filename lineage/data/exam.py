"""What a policy's exam says: success by level of difficulty and thinking budget, with intervals."""

from collections.abc import Mapping
from typing import Any

from lineage.record.ancestry import Generation

TRAINING_BUDGET = "report.training_budget_tokens"


def exam_of(generation: Generation) -> dict[str, Any] | None:
    """Success at each level and budget, and the budget to look at first; None where the policy sat no exam."""
    if not generation.exam:
        return None
    levels = {
        level: {"num_problems": metrics["num_problems"], "success": _by_budget(metrics["success"])}
        for level, metrics in generation.exam.items()
        if isinstance(metrics, Mapping) and "success" in metrics
    }
    budgets = sorted({int(budget) for level in levels.values() for budget in level["success"]})
    trained_at = generation.steps["evaluate"].params.get(TRAINING_BUDGET)
    return {"budget_tokens": str(trained_at if trained_at in budgets else budgets[-1]), "levels": levels}


def success(exam: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Success over all problems at the budget to look at first."""
    return exam["levels"]["all"]["success"].get(exam["budget_tokens"]) if exam else None


def _by_budget(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Intervals by budget in tokens, fewest first; `budget_72` is how metrics name one."""
    named = {budget.removeprefix("budget_"): estimate for budget, estimate in metrics.items()}
    return dict(sorted(named.items(), key=lambda pair: int(pair[0])))
