"""What is written of an update beside the policy."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from stages.pure.accounting import (
    Mismatch,
    Status,
    credit_share,
    group_shares,
    verdict_rates,
)
from stages.pure.objectives.tokens import TokenAdvantages
from stages.update.round_tables import RoundTables

AVERAGED = (
    *("clip_frac", "kl_nats", "grad_norm", "reference_kl_nats"),
    *("importance_mean", "importance_ess_frac", "importance_clipped_frac"),
)


class Extremes(NamedTuple):
    """What of an update is largest, and whose it is."""

    max_abs_advantage: float
    problem_of_max: str
    largest_group_share: float
    """Of the sum of |advantage| over trained tokens."""
    problem_of_largest: str

    def figures(self) -> dict[str, float]:
        """The numbers alone."""
        return {
            "max_abs_advantage": self.max_abs_advantage,
            "largest_group_share": self.largest_group_share,
        }


def course(rows: Sequence[dict[str, Any]], history: Sequence[dict[str, float]]) -> dict[str, Any]:
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


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What is read first of an update's metrics; `trained_frac` is of all tokens of the round."""
    tokens = metrics["tokens"]
    return {
        "entropy_nats": metrics["entropy_nats"]["last"],
        "kl_nats": metrics["mean_kl_nats"],
        "largest_group_share": metrics["largest_group_share"],
        "max_abs_advantage": metrics["max_abs_advantage"],
        "trained_frac": tokens[Status.TRAINED] / sum(tokens.values()),
    }


def extremes_of(
    tables: RoundTables, advantages: TokenAdvantages, rows: Sequence[dict[str, Any]]
) -> Extremes:
    """The largest advantage of a trained token and the largest share of a problem."""
    trained = _trained_rows(rows)
    outcome, earned = _of_targets(advantages, trained)
    totals = [kept + added for kept, added in zip(outcome, earned, strict=True)]
    peaks = np.array([np.abs(total).max(initial=0.0) for total in totals])
    pulls = np.array([np.abs(total).sum() for total in totals])
    problems = tables.rollouts["problem_id"]
    shares = group_shares(pulls, tables.groups[trained])
    top, largest = int(peaks.argmax()), int(shares.argmax())
    return Extremes(
        float(peaks[top]),
        problems[trained[top]].as_py(),
        float(shares[largest]),
        problems[trained[largest]].as_py(),
    )


def composition(
    tables: RoundTables,
    advantages: TokenAdvantages,
    rows: Sequence[dict[str, Any]],
    extremes: Extremes,
) -> dict[str, Any]:
    """What was learnt from: credit's share of the advantages, the extremes, true verdicts."""
    share = credit_share(*_of_targets(advantages, _trained_rows(rows)))
    rates = verdict_rates(tables.self_verdicts, tables.segments.attempt_grade)
    return {"mean_credit_frac": share, **extremes.figures(), "verdicts": rates._asdict()}


def told(found: Mismatch) -> dict[str, Any]:
    """How far the sampler's log-probabilities were from the trainer's, before the first step."""
    figures = ("num_tokens", "mean_nats", "max_nats", "ess_frac")
    return {"mismatch": {name: getattr(found, name) for name in figures}}


def _trained_rows(rows: Sequence[dict[str, Any]]) -> list[int]:
    return [row for row, entry in enumerate(rows) if entry["status"] == Status.TRAINED]


def _of_targets(
    advantages: TokenAdvantages, trained: Sequence[int]
) -> tuple[list[Float[np.ndarray, " _"]], list[Float[np.ndarray, " _"]]]:
    """Both parts of the advantage, of the target tokens of each rollout trained on."""
    outcome, earned = (
        [values[row][advantages.is_target[row]] for row in trained]
        for values in (advantages.outcome, advantages.credit)
    )
    return outcome, earned
