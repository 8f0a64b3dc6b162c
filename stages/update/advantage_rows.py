"""The table of advantages: what each run of tokens was trained with, and how much was clipped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from stages.contracts.storage.writing import table_writer
from stages.contracts.tables.advantages import ADVANTAGES
from stages.pure.accounting import Status
from stages.pure.objectives.arrays import Segments
from stages.pure.objectives.tokens import IsToken, TokenAdvantages, stops_apart
from stages.update.round_tables import RoundTables


def write_advantages(
    path: Path,
    tables: RoundTables,
    advantages: TokenAdvantages,
    ledger: Sequence[Mapping[str, Any]],
    is_clipped: Sequence[IsToken],
) -> None:
    """Write the rows of `advantage_table`."""
    with table_writer(path, ADVANTAGES) as writer:
        writer.add_table(advantage_table(tables, advantages, ledger, is_clipped))


def advantage_table(
    tables: RoundTables,
    advantages: TokenAdvantages,
    ledger: Sequence[Mapping[str, Any]],
    is_clipped: Sequence[IsToken],
) -> pa.Table:
    """A row for each run of tokens that share an advantage, in the order of their rollouts.

    `ledger` has a row for each rollout; `is_clipped` an array for each of those trained.
    """
    runs, index = _runs(stops_apart(tables.segments, tables.is_sampled))
    trained = [row for row, entry in enumerate(ledger) if entry["status"] == Status.TRAINED]
    clipped_of = dict(zip(trained, is_clipped, strict=True))
    idle = [np.zeros(len(tokens), dtype=bool) for tokens in tables.is_sampled]
    is_target = [
        of_rollout if row in clipped_of else idle[row]
        for row, of_rollout in enumerate(advantages.is_target)
    ]
    num_trained = _sums(is_target, runs)
    num_clipped = _sums(
        [clipped_of.get(row, none) & is_target[row] for row, none in enumerate(idle)], runs
    )
    outcome, earned = (_firsts(part, runs) for part in (advantages.outcome, advantages.credit))
    with np.errstate(invalid="ignore"):
        clipped_frac = num_clipped / num_trained
    columns = {
        "rollout_id": tables.rollouts["rollout_id"].take(pa.array(runs.rollout)),
        "segment_index": index,
        "start_token": runs.start_tokens,
        "end_token": runs.end_tokens,
        "is_stop": runs.is_stop,
        "outcome_advantage": outcome,
        "credit_advantage": earned,
        "advantage": outcome + earned,
        "num_trained_tokens": num_trained,
        "clipped_frac": clipped_frac,
    }
    arrays = [_column(columns[field.name], field.type) for field in ADVANTAGES.schema]
    return pa.Table.from_arrays(arrays, schema=ADVANTAGES.schema)


def _runs(apart: Segments) -> tuple[Segments, np.ndarray]:
    """The segments that have tokens, and the index of each in its rollout as the table has it."""
    is_behind_stop = np.append(False, apart.is_stop[:-1])[: len(apart.is_stop)]
    ordinal = (~is_behind_stop).cumsum()
    _, firsts, owner = np.unique(apart.rollout, return_index=True, return_inverse=True)
    index = ordinal - ordinal[firsts][owner]
    has_tokens = apart.start_tokens < apart.end_tokens
    return Segments(*(values[has_tokens] for values in apart)), index[has_tokens]


def _offsets(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Where each rollout's tokens begin among those of all."""
    return np.append(0, np.cumsum([len(part) for part in parts]))[:-1]


def _sums(parts: Sequence[IsToken], runs: Segments) -> np.ndarray:
    """How many tokens of each run are marked."""
    before = np.append(0, np.concatenate(parts).cumsum())
    first = _offsets(parts)[runs.rollout]
    counted: np.ndarray = before[first + runs.end_tokens] - before[first + runs.start_tokens]
    return counted


def _firsts(
    parts: Sequence[Float[np.ndarray, " _"]], runs: Segments
) -> Float[np.ndarray, " segment"]:
    """The value at each run's first token, which all of it share."""
    values: np.ndarray = np.concatenate(parts)
    return values[_offsets(parts)[runs.rollout] + runs.start_tokens]


def _column(values: pa.ChunkedArray | np.ndarray, kind: pa.DataType) -> pa.Array:
    """As the table holds it; what is not known, NaN, is null."""
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    return pa.array(values, from_pandas=True).cast(kind)
