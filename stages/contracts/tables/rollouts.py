"""Table `rollouts`: one sampled completion a row."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.contracts.origin import Origin
from stages.contracts.storage.contract import (
    CODES,
    FLOAT,
    FLOATS,
    INT,
    INTS,
    LONG,
    TEXT,
    Conversion,
    column,
    define,
)


def origin_of_span(rows: pa.Table) -> pa.Array:
    """Older files had one span of forced tokens a rollout, the cue of its answer."""
    lengths = pc.fill_null(pc.list_value_length(rows["completion_tokens"]), 0).to_numpy()
    ends = lengths.cumsum(dtype=np.int32)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.arange(len(owners)) - np.repeat(ends - lengths, lengths)
    start, end = rows["forced_start"].to_numpy(), rows["forced_end"].to_numpy()
    is_cue = (positions >= start[owners]) & (positions < end[owners])
    origin = np.where(is_cue, Origin.CUE, Origin.SAMPLED).astype(np.int8)
    return pa.ListArray.from_arrays(np.concatenate([[0], ends]).astype(np.int32), origin)


ROLLOUTS = define(
    "rollouts",
    "one sampled completion",
    ["rollout_id"],
    column("rollout_id", TEXT, "`<round>/<problem_id>/<sample_index>`"),
    column("problem_id", TEXT, "problem asked"),
    column("sample_index", INT, "0-based position in the problem's group"),
    column("policy_id", TEXT, "policy that sampled it"),
    column("prompt_tokens", INTS, "token ids of the prompt"),
    column("prompt_text", TEXT, "what `prompt_tokens` read, control tokens too", nullable=True),
    column("completion_tokens", INTS, "token ids after the prompt, whoever put them there"),
    column(
        "completion_text",
        TEXT,
        "what they read by the policy's tokenizer, control tokens too; bytes that are no text are "
        "U+FFFD, ids that the tokenizer does not know are nothing",
        nullable=True,
    ),
    column(
        "sampler_logprobs",
        FLOATS,
        "log-probability of each completion token, nats; 0 where it was not sampled",
    ),
    column(
        "token_origin",
        CODES,
        "where each completion token comes from: 0 sampled by the policy, 1 cue, 2 environment",
    ),
    column("num_thinking_tokens", INT, "completion tokens before the answer cue"),
    column(
        "finish_reason",
        TEXT,
        "`stop` ended by itself, `forced` answered when made to, `length` never ended",
    ),
    column("seed", LONG, "seed of this completion's sampling"),
    column("temperature", FLOAT, "sampling temperature"),
    conversions=[
        Conversion(
            "token_origin", ("completion_tokens", "forced_start", "forced_end"), origin_of_span
        )
    ],
)
