"""Whether the ledger of an update accounts for every token of every rollout, once, in numbers."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from lineage.data.accounts import WHY
from lineage.proof.advantagechecks import check_advantages, check_mismatch
from lineage.proof.rowtables import Tables, bad_rows, same_ids
from lineage.record.errors import Finding
from lineage.record.flags import Flag
from lineage.record.lock import Step
from lineage.record.values import Value, section

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
"""Of an advantage's limit: ledgers hold single precision."""


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
    limit = _limit(step)
    if isinstance(limit, int | float):
        is_within = pc.less_equal(pc.abs(advantage), limit * (1 + ROUNDING))
        what = f"ledger rows have an advantage beyond the recipe's limit {limit}"
        differing[what] = pc.and_(pc.is_finite(advantage), pc.invert(is_within))
    for what, is_bad in differing.items():
        yield from bad_rows(step, is_bad, names, what)


def _limit(step: Step) -> Value:
    for key in step.params:
        if key.endswith(".update"):
            return section(section(step.params, key), "limits").get("max_abs_advantage")
    return None
