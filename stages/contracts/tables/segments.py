"""Table `segments`: one segment of a rollout a row."""

from stages.contracts.storage.contract import FLAG, INT, TEXT, column, define

SEGMENTS = define(
    "segments",
    "one segment of a rollout",
    ["rollout_id", "segment_index"],
    column("rollout_id", TEXT, "rollout cut"),
    column("segment_index", INT, "0-based position in the rollout"),
    column(
        "kind", TEXT, "`attempt`, `answer`, or `other` (cut short, or cut where no attempt ends)"
    ),
    column("start_token", INT, "first completion token of the segment"),
    column("end_token", INT, "one past its last completion token"),
    column(
        "text",
        TEXT,
        "what it adds to the completion's text: those of a rollout, joined, are `completion_text`; "
        "a letter whose tokens are cut apart is the later segment's",
        nullable=True,
    ),
    column("attempt_verdict", TEXT, "what the verifier says of the attempt inside", nullable=True),
    column(
        "self_verdict", FLAG, "whether the policy itself calls the attempt correct", nullable=True
    ),
)
