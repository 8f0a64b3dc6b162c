"""The few numbers of an exam that are read first."""

from collections.abc import Mapping
from typing import Any


def headline(metrics: Mapping[str, Any], training_budget_tokens: int) -> dict[str, Any]:
    """What is read first of a level's metrics: success at the training budget with its interval."""
    at, longest = f"budget_{training_budget_tokens}", [*metrics["success"]][-1]
    adds, regret = metrics["thinking_adds"], metrics["normalized_regret"]
    return {
        "temperature": metrics["temperature"],
        "success": metrics["success"][at]["mean"],
        "success_low": metrics["success"][at]["low"],
        "success_high": metrics["success"][at]["high"],
        "longest_success": metrics["success"][longest]["mean"],
        "thinking_adds": adds and adds["mean"],
        "normalized_regret": regret and regret["mean"],
        "thinking_tokens": metrics["used_tokens"][at],
        "repeat_frac": metrics["repeat_frac"],
    }
