"""The Parquet tables: one schema each, executed at every read and every write."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from stages.contracts.parts import Table, batches, count_rows, merged, read, write, writer

__all__ = ["TABLES", "Table", "batches", "count_rows", "merged", "read", "write", "writer"]

INT, FLOAT, TEXT, FLAG = pa.int32(), pa.float32(), pa.string(), pa.bool_()


def _column(name: str, kind: pa.DataType, description: str, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": description})


def _table(name: str, grain: str, key: Sequence[str], *columns: pa.Field) -> Table:
    return Table(name, grain, tuple(key), pa.schema(columns))


PROBLEMS = _table(
    "problems",
    "one problem",
    ["problem_id"],
    _column("problem_id", TEXT, "canonical name: equal for problems that are rewritings of each other"),
    _column("task", TEXT, "task the problem comes from"),
    _column("split", TEXT, "`train` or `heldout`"),
    _column("difficulty", INT, "structural tier of the generator"),
    _column("prompt", TEXT, "text given to the policy"),
    _column("answer", TEXT, "one correct answer"),
    _column("metadata", TEXT, "what the verifier needs, as JSON"),
    _column("seed", INT, "generator seed or draw number of this problem"),
)
DEMOS = _table(
    "demos",
    "one demonstration",
    ["demo_id"],
    _column("demo_id", INT, "0-based position in the generator's order"),
    _column("problem_id", TEXT, "problem shown; always of the train split"),
    _column("strategy", TEXT, "how the demonstration searches"),
    _column("text", TEXT, "completion to imitate, end of text excluded"),
    _column("is_correct", FLAG, "whether its final answer is correct"),
    _column("num_segments", INT, "attempts before the answer"),
)
ROLLOUTS = _table(
    "rollouts",
    "one sampled completion",
    ["rollout_id"],
    _column("rollout_id", TEXT, "`<round>/<problem_id>/<sample_index>`"),
    _column("problem_id", TEXT, "problem asked"),
    _column("sample_index", INT, "0-based position in the problem's group"),
    _column("policy_id", TEXT, "policy that sampled it"),
    _column("prompt_tokens", pa.list_(INT), "token ids of the prompt"),
    _column("completion_tokens", pa.list_(INT), "token ids after the prompt, forced ones included"),
    _column("sampler_logprobs", pa.list_(FLOAT), "log-probability of each completion token, nats; 0 where forced"),
    _column("num_thinking_tokens", INT, "completion tokens before the answer cue"),
    _column("forced_start", INT, "first forced token (the cue); equals `forced_end` where nothing was forced"),
    _column("forced_end", INT, "one past the last forced token"),
    _column("finish_reason", TEXT, "`stop` ended by itself, `forced` answered when made to, `length` never ended"),
    _column("seed", pa.int64(), "seed of this completion's sampling"),
    _column("temperature", FLOAT, "sampling temperature"),
)
SCORES = _table(
    "scores",
    "one rollout",
    ["rollout_id"],
    _column("rollout_id", TEXT, "rollout judged"),
    _column("verdict", TEXT, "correct, incorrect, unparsable, timeout or error"),
    _column(
        "reward",
        FLOAT,
        "what the round learns from: 1 right, 0 not, as its judge says, between with partial credit; null where "
        "`exact` judges and failed",
        nullable=True,
    ),
    _column("judge_score", FLOAT, "what the round's judge gives; null where `exact` judges", nullable=True),
    _column("answer", TEXT, "text judged: what follows the cue, nothing before it"),
)
SEGMENTS = _table(
    "segments",
    "one segment of a rollout",
    ["rollout_id", "segment_index"],
    _column("rollout_id", TEXT, "rollout cut"),
    _column("segment_index", INT, "0-based position in the rollout"),
    _column("kind", TEXT, "`attempt`, `answer`, or `other` (cut short, or cut where no attempt ends)"),
    _column("start_token", INT, "first completion token of the segment"),
    _column("end_token", INT, "one past its last completion token"),
    _column("attempt_verdict", TEXT, "what the verifier says of the attempt inside", nullable=True),
    _column("self_verdict", FLAG, "whether the policy itself calls the attempt correct", nullable=True),
)
PROBES = _table(
    "probes",
    "one probed boundary of a rollout: the start of a thinking segment, or the end of the last",
    ["rollout_id", "boundary_index"],
    _column("rollout_id", TEXT, "rollout probed"),
    _column("boundary_index", INT, "0-based position; boundary j stands before segment j"),
    _column("position", INT, "completion tokens before the boundary"),
    _column("estimator", TEXT, "how success is estimated; the recipe's `probe.estimator`"),
    _column("num_probes", INT, "answers tried: the solution set, the known answer, or those sampled; 0 for a critic"),
    _column("answers", pa.list_(TEXT), "answers tried"),
    _column("answer_logprobs", pa.list_(FLOAT), "log-probability of each answer after prefix and cue, nats"),
    _column(
        "gold_logprob_nats",
        FLOAT,
        "log-probability that one of `answers` is given; null unless all are correct",
        nullable=True,
    ),
    _column("value", FLOAT, "success a critic expects; null for other estimators", nullable=True),
)
GAINS = _table(
    "gains",
    "one thinking segment of a rollout",
    ["rollout_id", "segment_index"],
    _column("rollout_id", TEXT, "rollout credited"),
    _column("segment_index", INT, "segment credited"),
    _column("num_judged_before", INT, "answers judged at the boundary before; the whole set for exact estimators"),
    _column("num_judged_after", INT, "answers judged at the boundary after"),
    _column("success_before", FLOAT, "success if forced to answer before the segment", nullable=True),
    _column("success_after", FLOAT, "success if forced to answer after it", nullable=True),
    _column("progress", FLOAT, "success_after - success_before", nullable=True),
    _column(
        "info_gain_nats", FLOAT, "nats told about the answer; null where the estimator measures none", nullable=True
    ),
    _column("stderr", FLOAT, "standard error of progress; 0 for exact estimators", nullable=True),
    _column(
        "is_interpolated", FLAG, "whether a boundary of the segment was not probed, but lies between two that were"
    ),
    _column("estimator", TEXT, "estimator of the probes"),
)
LEDGER = _table(
    "ledger",
    "one rollout: what became of its tokens in the update",
    ["rollout_id"],
    _column("rollout_id", TEXT, "rollout accounted for"),
    _column("problem_id", TEXT, "its problem"),
    _column("status", TEXT, "trained, filtered_group, filtered_zero_advantage, truncated or errored"),
    _column("num_trained_tokens", INT, "sampled tokens whose log-probability was trained"),
    _column("num_forced_tokens", INT, "cue tokens put there by the sampler, never trained"),
    _column("num_untrained_tokens", INT, "sampled tokens left out, for the reason in `status`"),
    _column("mean_advantage", FLOAT, "mean advantage over its trained tokens; 0 when not trained"),
)
THOUGHTS = _table(
    "thoughts",
    "one long sample of an exam",
    ["problem_id", "sample_index"],
    _column("policy_id", TEXT, "policy examined"),
    _column("problem_id", TEXT, "problem asked"),
    _column("sample_index", INT, "0-based sample of the problem"),
    _column("thinking_tokens", pa.list_(INT), "token ids between prompt and answer cue"),
)
ANSWERS = _table(
    "answers",
    "one (problem, sample, budget) of an exam",
    ["problem_id", "sample_index", "budget_tokens"],
    _column("policy_id", TEXT, "policy examined"),
    _column("problem_id", TEXT, "problem asked"),
    _column("sample_index", INT, "0-based sample of the problem"),
    _column("budget_tokens", INT, "thinking tokens allowed"),
    _column("used_tokens", INT, "thinking tokens used"),
    _column("is_forced", FLAG, "whether the answer was forced at the budget"),
    _column("answer", TEXT, "text after the cue"),
)
GRADES = _table(
    "grades",
    "one (problem, sample, budget) of an exam, judged",
    ["problem_id", "sample_index", "budget_tokens"],
    _column("problem_id", TEXT, "problem asked"),
    _column("split", TEXT, "`heldout`, or `train` for those asked to measure memorisation"),
    _column("difficulty", INT, "structural tier of the problem"),
    _column("sample_index", INT, "0-based sample of the problem"),
    _column("budget_tokens", INT, "thinking tokens allowed"),
    _column("used_tokens", INT, "thinking tokens used"),
    _column("is_forced", FLAG, "whether the answer was forced at the budget"),
    _column("verdict", TEXT, "correct, incorrect, unparsable, timeout or error"),
    _column("reward", FLOAT, "1 correct, 0 not; null where the verifier failed", nullable=True),
    _column("answer", TEXT, "text after the cue"),
    _column("judge_score", FLOAT, "what the exam's judge gives the answer; null where `exact` judges", nullable=True),
    _column("num_segments", INT, "whole thinking segments within the budget"),
    _column("num_repeats", INT, "of these, attempts that repeat an earlier one word for word"),
    _column("num_hits", INT, "of these, attempts the verifier accepts"),
    _column("num_judged_hits", INT, "of these hits, those with a verdict of the policy's own"),
    _column("num_judged_misses", INT, "of the other attempts, those with a verdict of the policy's own"),
    _column("num_false_negatives", INT, "hits that the policy itself calls wrong"),
    _column("num_false_positives", INT, "misses that the policy itself calls correct"),
)

TABLES: Mapping[str, Table] = {
    t.name: t for t in (PROBLEMS, DEMOS, ROLLOUTS, SCORES, SEGMENTS, PROBES, GAINS, LEDGER, THOUGHTS, ANSWERS, GRADES)
}
