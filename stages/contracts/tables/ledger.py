"""Table `ledger`: one rollout: what became of its tokens in the update a row."""

from stages.contracts.storage.contract import FLOAT, INT, TEXT, column, define

LEDGER = define(
    "ledger",
    "one rollout: what became of its tokens in the update",
    ["rollout_id"],
    column("rollout_id", TEXT, "rollout accounted for"),
    column("problem_id", TEXT, "its problem"),
    column(
        "status", TEXT, "trained, filtered_group, filtered_zero_advantage, truncated or errored"
    ),
    column("num_trained_tokens", INT, "sampled tokens whose log-probability was trained"),
    column("num_cue_tokens", INT, "cue tokens put there by the sampler, never trained"),
    column("num_environment_tokens", INT, "tokens put there by an environment, never trained"),
    column("num_untrained_tokens", INT, "sampled tokens left out, for the reason in `status`"),
    column("mean_advantage", FLOAT, "mean advantage over its trained tokens; 0 when not trained"),
)
