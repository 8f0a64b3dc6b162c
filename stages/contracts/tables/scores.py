"""Table `scores`: one rollout a row."""

from stages.contracts.storage.contract import FLOAT, TEXT, column, define

SCORES = define(
    "scores",
    "one rollout",
    ["rollout_id"],
    column("rollout_id", TEXT, "rollout judged"),
    column("verdict", TEXT, "correct, incorrect, unparsable, timeout or error"),
    column(
        "reward",
        FLOAT,
        "what the round learns from: 1 right, 0 not, as its judge says, between with partial "
        "credit; null where `exact` judges and failed",
        nullable=True,
    ),
    column(
        "judge_score",
        FLOAT,
        "what the round's judge gives; null where `exact` judges",
        nullable=True,
    ),
    column("answer", TEXT, "text judged: what follows the cue, nothing before it"),
)
