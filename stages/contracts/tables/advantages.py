"""Table `advantages`: one run of tokens of a rollout that share an advantage a row."""

from stages.contracts.storage.contract import FLAG, FLOAT, INT, TEXT, column, define

ADVANTAGES = define(
    "advantages",
    "one run of tokens of a rollout that share an advantage: a segment, but that the choice to "
    "stop thinking is apart from the answer behind it",
    ["rollout_id", "start_token"],
    column("rollout_id", TEXT, "rollout learnt from"),
    column("segment_index", INT, "segment that the tokens are of"),
    column("start_token", INT, "first completion token"),
    column("end_token", INT, "one past the last completion token"),
    column(
        "is_stop",
        FLAG,
        "whether it is the choice to stop: the cue's first token, where the policy wrote it",
    ),
    column(
        "outcome_advantage",
        FLOAT,
        "part of the advantage that the final reward earns; null where the verifier failed",
        nullable=True,
    ),
    column(
        "credit_advantage",
        FLOAT,
        "part that the segment earns itself; null where it is not known",
        nullable=True,
    ),
    column("advantage", FLOAT, "their sum, which the loss uses", nullable=True),
    column(
        "num_trained_tokens",
        INT,
        "sampled tokens trained with it; 0 where the rollout is left out (ledger `status`)",
    ),
    column(
        "clipped_frac",
        FLOAT,
        "share of the trained tokens that the loss clipped in the last epoch; null where none was "
        "trained",
        nullable=True,
    ),
)
