"""Table `gains`: one thinking segment of a rollout a row."""

import pyarrow as pa

from stages.contracts.storage.contract import (
    FLAG,
    FLOAT,
    INT,
    TEXT,
    Conversion,
    column,
    define,
)


def carried_of_interpolated(rows: pa.Table) -> pa.Array:
    """Older files had success on a line between two boundaries probed, where it is carried now."""
    return rows["is_interpolated"]


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
    column("success_before", FLOAT, "success before the segment, as estimated", nullable=True),
    column("success_after", FLOAT, "success after it", nullable=True),
    column("progress", FLOAT, "success_after - success_before", nullable=True),
    column(
        "info_gain_nats",
        FLOAT,
        "nats told about the answer; null where the estimator measures none",
        nullable=True,
    ),
    column(
        "stderr",
        FLOAT,
        "standard error of progress; 0 where exact, of a critic, and up to a boundary not probed",
        nullable=True,
    ),
    column(
        "is_carried",
        FLAG,
        "whether a boundary of the segment was not probed: success there is that of the last one "
        "probed before it",
    ),
    column("estimator", TEXT, "estimator of the probes"),
    conversions=[Conversion("is_carried", ("is_interpolated",), carried_of_interpolated)],
)
