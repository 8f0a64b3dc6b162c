"""What is written of an update beside the policy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stages.pure.accounting import Status, credit_share, verdict_rates
from stages.pure.objectives.tokens import TokenAdvantages
from stages.update.round_tables import RoundTables

AVERAGED = (
    *("clip_frac", "kl_nats", "grad_norm", "reference_kl_nats"),
    *("importance_mean", "importance_ess_frac", "importance_clipped_frac"),
)


def summary(rows: Sequence[dict[str, Any]], history: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Token counts by what became of them, and the course of the update.

    Some figures are only watched under some recipes.
    """
    by_status = {
        status: sum(row["num_untrained_tokens"] for row in rows if row["status"] == status)
        for status in Status
    }
    by_status[Status.TRAINED] = sum(row["num_trained_tokens"] for row in rows)
    num_forced = sum(row["num_cue_tokens"] + row["num_environment_tokens"] for row in rows)
    first, last = history[0], history[-1]
    averages = {
        name: float(np.mean([record[name] for record in history]))
        for name in AVERAGED
        if name in first
    }
    return {
        "tokens": {**by_status, "forced": num_forced},
        "num_steps": len(history),
        "entropy_nats": {"first": first["entropy_nats"], "last": last["entropy_nats"]},
        "max_logprob_difference_nats": first["max_logprob_difference_nats"],
        "mean_logprob_difference_nats": first["mean_logprob_difference_nats"],
        **{f"mean_{name.removesuffix('_mean')}": value for name, value in averages.items()},
    }


def composition(
    tables: RoundTables, advantages: TokenAdvantages, rows: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What was learnt from: credit's share of the trained tokens' advantages; true verdicts."""
    trained = [row for row, entry in enumerate(rows) if entry["status"] == Status.TRAINED]
    outcome, earned = (
        [values[row][advantages.is_target[row]] for row in trained]
        for values in (advantages.outcome, advantages.credit)
    )
    rates = verdict_rates(tables.self_verdicts, tables.segments.attempt_grade)
    return {"mean_credit_frac": credit_share(outcome, earned), "verdicts": rates._asdict()}
