"""Table `gains`: one thinking segment of a rollout a row."""

from stages.contracts.storage.contract import FLAG, FLOAT, INT, TEXT, column, define

GAINS = define(
    "gains",
    "one thinking segment of a rollout",
    ["rollout_id", "segment_index"],
    column("rollout_id", TEXT, "rollout credited"),
    column("segment_index", INT, "segment credited"),
    column(
        "num_judged_before",
        INT,
        "answers judged at the boundary before; the whole set for exact estimators",
    ),
    column("num_judged_after", INT, "answers judged at the boundary after"),
    column(
        "success_before", FLOAT, "success if forced to answer before the segment", nullable=True
    ),
    column("success_after", FLOAT, "success if forced to answer after it", nullable=True),
    column("progress", FLOAT, "success_after - success_before", nullable=True),
    column(
        "info_gain_nats",
        FLOAT,
        "nats told about the answer; null where the estimator measures none",
        nullable=True,
    ),
    column("stderr", FLOAT, "standard error of progress; 0 for exact estimators", nullable=True),
    column(
        "is_interpolated",
        FLAG,
        "whether a boundary of the segment was not probed, but lies between two that were",
    ),
    column("estimator", TEXT, "estimator of the probes"),
)
