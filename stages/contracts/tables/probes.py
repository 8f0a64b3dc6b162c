"""Table `probes`: one probed boundary of a rollout a row."""

from stages.contracts.storage.contract import FLOAT, FLOATS, INT, TEXT, TEXTS, column, define

PROBES = define(
    "probes",
    "one probed boundary of a rollout: the start of a thinking segment, or the end of the last",
    ["rollout_id", "boundary_index"],
    column("rollout_id", TEXT, "rollout probed"),
    column("boundary_index", INT, "0-based position; boundary j stands before segment j"),
    column("position", INT, "completion tokens before the boundary"),
    column("estimator", TEXT, "how success is estimated; the recipe's `probe.estimator`"),
    column(
        "num_probes",
        INT,
        "answers tried: the solution set, the known answer, or those sampled, without a pilot's; "
        "0 for a critic",
    ),
    column("answers", TEXTS, "answers tried"),
    column(
        "answer_logprobs",
        FLOATS,
        "log-probability of each answer after all that stands before it, nats",
    ),
    column(
        "gold_logprob_nats",
        FLOAT,
        "log-probability that one of `answers` is given; null unless all are correct",
        nullable=True,
    ),
    column("value", FLOAT, "success a critic expects; null for other estimators", nullable=True),
)
