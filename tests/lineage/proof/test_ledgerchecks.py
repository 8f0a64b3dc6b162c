"""Advantages that do not add up, and a sampler that was not the policy, by hand."""

import json

import pyarrow as pa
import pytest

from lineage.proof.ledgerchecks import check_advantages, check_mismatch
from lineage.proof.rowtables import Tables
from lineage.record.lock import Step
from tests.lineage.proof.byhand import evidence_of, step

ADVANTAGES = "data/rounds/i1/advantages.parquet"
LEDGER = pa.table(
    {"rollout_id": ["a", "b"], "num_trained_tokens": [3, 0], "mean_advantage": [0.5, 0.0]}
)
SOUND = {
    "rollout_id": ["a", "a", "b"],
    "start_token": [0, 2, 0],
    "end_token": [2, 4, 3],
    "outcome_advantage": [0.5, 0.25, None],
    "credit_advantage": [0.25, -0.25, 0.0],
    "advantage": [0.75, 0.0, None],
    "num_trained_tokens": [2, 1, 0],
    "clipped_frac": [0.5, 0.0, None],
}
LIMITS = {"mean_nats": 1e-3, "max_nats": 0.1, "min_ess_frac": 0.9}
WITHIN = {"mean_nats": 1e-4, "max_nats": 0.1, "ess_frac": 0.95}


def wrong(**changes: list) -> list[str]:
    update = step("update@i1", {}, {"advantages": ADVANTAGES})
    evidence = evidence_of({ADVANTAGES: pa.table({**SOUND, **changes})})
    return [found.message for found in check_advantages(update, LEDGER, Tables(evidence))]


def test_what_adds_up_is_sound() -> None:
    assert wrong() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"advantage": [0.8, 0.0, None]}, "not the sum of their parts; the first a"),
        ({"advantage": [None, 0.0, None]}, "not the sum of their parts; the first a"),
        ({"advantage": [float("nan"), 0.0, None]}, "not the sum of their parts; the first a"),
        ({"num_trained_tokens": [3, 1, 0]}, "of more tokens than there are; the first a"),
        ({"num_trained_tokens": [1, 1, 0]}, "other trained tokens in advantages"),
        ({"num_trained_tokens": [2, 1, None]}, "of more tokens than there are; the first b"),
        ({"clipped_frac": [1.5, 0.0, None]}, "shares of clipped tokens are none; the first a"),
        ({"clipped_frac": [None, 0.0, None]}, "shares of clipped tokens are none; the first a"),
        ({"clipped_frac": [0.5, 0.0, 0.0]}, "shares of clipped tokens are none; the first b"),
        ({"rollout_id": ["a", "a", "c"]}, "advantages are of no rollout; the first c"),
        (
            {"outcome_advantage": [0.9, 0.25, None], "advantage": [1.15, 0.0, None]},
            "another mean advantage in advantages than in the ledger; the first a",
        ),
    ],
)
def test_what_does_not_is_told(changes: dict, said: str) -> None:
    assert any(said in message for message in wrong(**changes))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, None),
        ({"mean_nats": 2e-3}, "mean_nats"),
        ({"max_nats": 0.2}, "max_nats"),
        ({"max_nats": float("nan")}, "max_nats"),
        ({"ess_frac": 0.5}, "min_ess_frac"),
        ({"ess_frac": None}, "min_ess_frac"),
    ],
)
def test_a_mismatch_beyond_the_limits_is_told(changes: dict, named: str | None) -> None:
    params = {"recipes.information.update": {"mismatch_limits": LIMITS}}
    update = Step("update@i1", "python -m stages.update", (), (), params)
    metrics = json.loads(json.dumps({"mismatch": {**WITHIN, **changes}}))
    found = [finding.message for finding in check_mismatch(update, metrics)]
    assert len(found) == (named is not None)
    assert named is None or f"mismatch_limits.{named} " in found[0]
    assert [*check_mismatch(Step("update@i1", "", (), (), {}), metrics)] == []


def test_metrics_without_the_figures_are_told() -> None:
    params = {"recipes.information.update": {"mismatch_limits": LIMITS}}
    update = Step("update@i1", "python -m stages.update", (), (), params)
    assert len([*check_mismatch(update, {})]) == 3
