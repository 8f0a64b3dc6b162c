"""Table `rollouts`: one sampled completion a row."""

from stages.contracts.storage.contract import FLOAT, FLOATS, INT, INTS, LONG, TEXT, column, define

ROLLOUTS = define(
    "rollouts",
    "one sampled completion",
    ["rollout_id"],
    column("rollout_id", TEXT, "`<round>/<problem_id>/<sample_index>`"),
    column("problem_id", TEXT, "problem asked"),
    column("sample_index", INT, "0-based position in the problem's group"),
    column("policy_id", TEXT, "policy that sampled it"),
    column("prompt_tokens", INTS, "token ids of the prompt"),
    column("completion_tokens", INTS, "token ids after the prompt, forced ones included"),
    column(
        "sampler_logprobs", FLOATS, "log-probability of each completion token, nats; 0 where forced"
    ),
    column("num_thinking_tokens", INT, "completion tokens before the answer cue"),
    column(
        "forced_start",
        INT,
        "first forced token (the cue); equals `forced_end` where nothing was forced",
    ),
    column("forced_end", INT, "one past the last forced token"),
    column(
        "finish_reason",
        TEXT,
        "`stop` ended by itself, `forced` answered when made to, `length` never ended",
    ),
    column("seed", LONG, "seed of this completion's sampling"),
    column("temperature", FLOAT, "sampling temperature"),
)
