"""Whether the advantages of an update add up to its ledger, and its sampler was the policy."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.tables import numbers
from lineage.proof.rowtables import Tables, bad_rows
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.lock import Step
from lineage.record.values import Values, section

PARTS = ("outcome_advantage", "credit_advantage", "advantage")
SPAN = ("start_token", "end_token")
TRAINED = "num_trained_tokens"
ROUNDING = 1e-5
"""Of advantages: tables hold single precision."""
LIMITS = {"mean_nats": "mean_nats", "max_nats": "max_nats", "min_ess_frac": "ess_frac"}
"""Limits of a recipe, and what the metrics call the figure."""


def check_advantages(step: Step, ledger: pa.Table, tables: Tables) -> Iterator[Finding]:
    """The rows of a rollout have its trained tokens, and its mean advantage.

    Args:
        step: the update.
        ledger: of it, with `rollout_id`, `num_trained_tokens` and `mean_advantage`.
        tables: what steps wrote.
    """
    rows = tables.read(step, Flag.ADVANTAGES, "rollout_id", *SPAN, *PARTS, TRAINED, "clipped_frac")
    if rows is None:
        return
    names, clipped = rows["rollout_id"], rows["clipped_frac"].cast("double")
    outcome, credit, whole = (rows[part].cast("double") for part in PARTS)
    is_trained = pc.greater(rows[TRAINED], 0)
    is_sum = pc.less_equal(pc.abs(pc.subtract(whole, pc.add(outcome, credit))), _slack(whole))
    length = pc.subtract(rows["end_token"], rows["start_token"])
    is_share = pc.and_(pc.greater_equal(clipped, 0), pc.less_equal(clipped, 1))
    differing = {
        "advantages are not the sum of their parts": pc.and_(
            pc.or_(is_trained, pc.is_valid(whole)), pc.invert(pc.fill_null(is_sum, False))
        ),
        "advantages are of more tokens than there are": pc.or_(
            pc.greater(rows[TRAINED], length), pc.less(rows[TRAINED], 0)
        ),
        "shares of clipped tokens are none": pc.if_else(
            is_trained, pc.invert(pc.fill_null(is_share, False)), pc.is_valid(clipped)
        ),
    }
    for what, is_bad in differing.items():
        yield from bad_rows(step, is_bad, names, what)
    place = pc.index_in(names, ledger["rollout_id"])
    strangers = [*bad_rows(step, pc.is_null(place), names, "advantages are of no rollout")]
    yield from strangers or _added_up(step, rows, place, ledger)


def check_mismatch(step: Step, metrics: Values) -> Iterator[Finding]:
    """What the metrics say of sampler and trainer keeps within the recipe's limits."""
    limits = _limits(step)
    found = section(metrics, "mismatch")
    for limit, name in LIMITS.items():
        allowed, figure = limits.get(limit), found.get(name)
        if not isinstance(allowed, int | float):
            continue
        is_within = isinstance(figure, int | float) and (
            figure >= allowed if limit == "min_ess_frac" else figure <= allowed
        )
        if not is_within:
            message = f"its recipe has mismatch_limits.{limit} {allowed}, its metrics say {figure}"
            yield Finding("rows", step.name, message)


def _added_up(
    step: Step, rows: pa.Table, place: pa.ChunkedArray, ledger: pa.Table
) -> Iterator[Finding]:
    owner = numbers(place.combine_chunks())
    weights = numbers(pc.fill_null(rows[TRAINED], 0).combine_chunks()).astype(float)
    advantage = numbers(pc.fill_null(rows["advantage"], 0.0).combine_chunks()).astype(float)
    num = np.bincount(owner, weights, ledger.num_rows)
    pull = np.bincount(owner, weights * advantage, ledger.num_rows)
    mean = pa.array(pull / np.maximum(num, 1))
    due = ledger["mean_advantage"].cast("double")
    is_alike = pc.less_equal(pc.abs(pc.subtract(mean, due)), _slack(due))
    differing = {
        "rollouts have other trained tokens in advantages than in the ledger": pc.not_equal(
            pa.array(num), ledger[TRAINED].cast("double")
        ),
        "rollouts have another mean advantage in advantages than in the ledger": pc.invert(
            is_alike
        ),
    }
    for what, is_bad in differing.items():
        yield from bad_rows(step, is_bad, ledger["rollout_id"], what)


def _slack(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.multiply(pc.add(pc.abs(values), 1.0), ROUNDING)


def _limits(step: Step) -> Values:
    for key in step.params:
        if key.endswith(".update"):
            return section(section(step.params, key), "mismatch_limits")
    return {}
