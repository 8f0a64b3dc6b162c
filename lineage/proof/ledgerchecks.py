"""Whether the ledger of an update accounts for every token of every rollout, once, in numbers.

Whether its advantages add up to the ledger, and its sampler was the policy.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.accounts import WHY
from lineage.data.tables import numbers
from lineage.proof.rowtables import Tables, bad_rows, same_ids
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.lock import Step
from lineage.record.values import Values, section

TRAINED, FORCED, UNTRAINED = COUNTS = (
    "num_trained_tokens",
    "num_forced_tokens",
    "num_untrained_tokens",
)
ADVANTAGE = "mean_advantage"
GIVEN = {
    "forced": FORCED,
    "cue": "num_cue_tokens",
    "environment": "num_environment_tokens",
}
"""Tokens that were not sampled, as metrics name them, and the ledger's column of each."""
ROUNDING = 1e-5
"""Of advantages: tables hold single precision."""
PARTS = ("outcome_advantage", "credit_advantage", "advantage")
SPAN = ("start_token", "end_token")
LIMITS = {"mean_nats": "mean_nats", "max_nats": "max_nats", "min_ess_frac": "ess_frac"}
"""Limits of sampler to trainer mismatch, and what the metrics call the figure."""


def check_ledger(step: Step, rollouts: pa.Table, tables: Tables) -> Iterator[Finding]:
    """Every token of every rollout is accounted for once, in the ledger and in the metrics.

    Args:
        step: the update.
        rollouts: what it trained on, with the lengths of its completions.
        tables: what steps wrote.
    """
    metrics = tables.metrics(step)
    stated = section(metrics, "tokens")
    yield from check_mismatch(step, metrics)
    counts = dict.fromkeys((*COUNTS, *(GIVEN[status] for status in stated if status in GIVEN)))
    columns = ("rollout_id", "problem_id", "status", ADVANTAGE, *counts)
    ledger = tables.read(step, Flag.LEDGER, *columns)
    if ledger is None:
        return
    ids = rollouts["rollout_id"]
    strangers = [*same_ids(step, "ledger", ledger["rollout_id"], ids)]
    yield from strangers or _accounted(step, ledger, rollouts)
    yield from _advantages(step, ledger)
    yield from check_advantages(step, ledger, tables)
    for status, number in stated.items():
        rows, column = ledger, GIVEN.get(status, UNTRAINED)
        if status not in GIVEN:
            rows = ledger.filter(pc.equal(ledger["status"], status))
            column = TRAINED if status == "trained" else UNTRAINED
        num = pc.sum(rows[column]).as_py() or 0
        if num != number:
            message = f"its metrics count {number} {status} tokens, its ledger {num}"
            yield Finding("rows", step.name, message)


def _accounted(step: Step, ledger: pa.Table, rollouts: pa.Table) -> Iterator[Finding]:
    total = pc.add(pc.add(ledger[TRAINED], ledger[FORCED]), ledger[UNTRAINED])
    differing = {
        "ledger rows name another problem than their rollouts": pc.not_equal(
            ledger["problem_id"], rollouts["problem_id"]
        ),
        "ledger rows have more or fewer tokens than their rollouts": pc.not_equal(
            total, rollouts["completion_tokens"]
        ),
        "ledger rows have more or fewer forced tokens than their rollouts": pc.not_equal(
            ledger[FORCED], rollouts["num_unsampled_tokens"]
        ),
    }
    for what, is_bad in differing.items():
        yield from bad_rows(step, is_bad, rollouts["rollout_id"], what)


def _advantages(step: Step, ledger: pa.Table) -> Iterator[Finding]:
    """Advantages are numbers within the recipe's limit, and 0 where nothing was trained."""
    names, advantage = ledger["rollout_id"], ledger[ADVANTAGE].cast("double")
    is_trained = pc.equal(ledger["status"], "trained")
    idle = pc.and_(pc.equal(ledger[TRAINED], 0), pc.equal(advantage, 0))
    busy = pc.and_(pc.greater(ledger[TRAINED], 0), pc.equal(ledger[UNTRAINED], 0))
    is_whole = pc.if_else(is_trained, busy, idle)
    differing = {
        "ledger rows have a status that there is not": pc.invert(
            pc.is_in(ledger["status"], pa.array([*WHY]))
        ),
        "ledger rows were trained and left out at once": pc.invert(is_whole),
        "ledger rows have an advantage that is no number": pc.invert(pc.is_finite(advantage)),
    }
    limit = _of_update(step, "limits").get("max_abs_advantage")
    if isinstance(limit, int | float):
        is_within = pc.less_equal(pc.abs(advantage), limit * (1 + ROUNDING))
        what = f"ledger rows have an advantage beyond the recipe's limit {limit}"
        differing[what] = pc.and_(pc.is_finite(advantage), pc.invert(is_within))
    for what, is_bad in differing.items():
        yield from bad_rows(step, is_bad, names, what)


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
    limits = _of_update(step, "mismatch_limits")
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


def _of_update(step: Step, name: str) -> Values:
    """A section of its recipe's `update`."""
    for key in step.params:
        if key.endswith(".update"):
            return section(section(step.params, key), name)
    return {}
