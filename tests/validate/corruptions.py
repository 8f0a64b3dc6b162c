"""Ways to break a sound round, each with the expectation that must name it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stages.contracts.tables.all import TABLES
from stages.contracts.verdict import Verdict
from tests.validate.sound_round import (
    GROUP_SIZE,
    NAMES,
    Rows,
)

Corruption = Callable[[Rows], str]


def put(table: str, column: str, value: Any, index: int = 0) -> Corruption:
    """Put a value into one row; a callable makes it from the row."""

    def corrupt(rows: Rows) -> str:
        row = rows[table][index]
        row[column] = value(row) if callable(value) else value
        return str(row[TABLES[table].key[0]])

    return corrupt


def put_entry(table: str, column: str, value: Any, entry: int = 0, index: int = 0) -> Corruption:
    """Put a value into one entry of a list column."""
    return put(
        table, column, lambda row: [*row[column][:entry], value, *row[column][entry + 1 :]], index
    )


def drop(table: str, is_dropped: Callable[[dict[str, Any]], bool] = lambda row: True) -> Corruption:
    """Leave out the first row that fits; its rollout is the offender."""

    def corrupt(rows: Rows) -> str:
        row = next(row for row in rows[table] if is_dropped(row))
        rows[table].remove(row)
        return str(row["rollout_id"])

    return corrupt


def rename(table: str, column: str, value: str) -> Corruption:
    """Rows of another round's rollout."""

    def corrupt(rows: Rows) -> str:
        rows[table].append({**rows[table][0], column: value})
        return value

    return corrupt


def overlap_segments(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["segment_index"] == 1)
    row["start_token"] -= 1
    return f"{row['rollout_id']}, segment_index=1 has -1"


def part_segments(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["segment_index"] == 1)
    row["start_token"] += 1
    return f"{row['rollout_id']}, segment_index=1 has 1"


def uncover_the_end(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["kind"] == "answer")
    row["end_token"] -= 1
    return str(row["rollout_id"])


def answer_first(rows: Rows) -> str:
    row = next(row for row in rows["segments"] if row["kind"] == "attempt")
    row["kind"] = "answer"
    return str(row["rollout_id"])


def stop_telescoping(rows: Rows) -> str:
    row = rows["gains"][0]
    row["progress"] += 0.01
    return str(row["rollout_id"])


def ask_heldout_problem(rows: Rows) -> str:
    row = next(
        row for row in rows["problems"] if row["problem_id"] == rows["rollouts"][0]["problem_id"]
    )
    row["split"] = "heldout"
    return str(rows["rollouts"][0]["rollout_id"])


def leak_prompt(rows: Rows) -> str:
    heldout = next(row for row in rows["problems"] if row["split"] == "heldout")
    train = next(
        row for row in rows["problems"] if row["split"] == "train" and row["difficulty"] == 4
    )
    train["prompt"] = heldout["prompt"]
    return str(min(heldout["problem_id"], train["problem_id"]))


def shrink_group(rows: Rows) -> str:
    gone = rows["rollouts"][0]["rollout_id"]
    for name in NAMES[1:]:
        rows[name] = [row for row in rows[name] if row["rollout_id"] != gone]
    return str(rows["rollouts"][0]["rollout_id"])


def rotate(rows: Rows, table: str, column: str) -> str:
    """Give each row the value of the one before it."""
    values = [row[column] for row in rows[table]]
    for row, value in zip(rows[table], [values[-1], *values[:-1]], strict=True):
        row[column] = value
    return str(rows[table][0][TABLES[table].key[0]])


def repeat_before(rows: Rows, table: str, column: str) -> str:
    """Give the second row the value of the first."""
    rows[table][1][column] = rows[table][0][column]
    return str(rows[table][0][TABLES[table].key[0]])


def exchange(rows: Rows, *columns: str) -> str:
    """Exchange columns of two problems of one split and difficulty."""
    alike = [row for row in rows["problems"] if row["split"] == "train" and row["difficulty"] == 3]
    one, other = alike[:2]
    for column in columns:
        one[column], other[column] = other[column], one[column]
    return str(min(one["problem_id"], other["problem_id"]))


def share_a_seed(rows: Rows) -> str:
    rows["rollouts"][1]["seed"] = rows["rollouts"][0]["seed"]
    return str(rows["rollouts"][0]["rollout_id"])


def think_past_the_budget(rows: Rows) -> str:
    row = rows["rollouts"][0]
    extra = 80 - row["num_thinking_tokens"]
    row["completion_tokens"] = [row["completion_tokens"][0]] * extra + row["completion_tokens"]
    row["sampler_logprobs"] = [-1.0] * extra + row["sampler_logprobs"]
    row["token_origin"] = [0] * extra + row["token_origin"]
    row["num_thinking_tokens"] += extra
    return str(row["rollout_id"])


def begin_with_a_reply(rows: Rows) -> str:
    segment = next(row for row in rows["segments"] if row["segment_index"] == 1)
    assert segment["kind"] != "answer"
    [rollout] = [row for row in rows["rollouts"] if row["rollout_id"] == segment["rollout_id"]]
    rollout["token_origin"][segment["start_token"]] = 2
    return str(segment["rollout_id"])


def judge_another_answer(rows: Rows) -> str:
    row = rows["scores"][0]
    row["answer"] = "1 + 1 2"
    return str(row["rollout_id"])


def probe_other_segments(rows: Rows) -> str:
    row = next(row for row in rows["probes"] if row["boundary_index"] == 1)
    row["position"] += 1
    return str(row["rollout_id"])


def keep_stale_gains(rows: Rows) -> str:
    for row in rows["probes"]:
        row["answer_logprobs"] = [logprob - 2 for logprob in row["answer_logprobs"]]
        row["gold_logprob_nats"] -= 2
    return str(rows["gains"][0]["rollout_id"])


def break_the_chain(rows: Rows) -> str:
    row = next(row for row in rows["gains"] if row["segment_index"] == 1)
    row["success_before"] *= 0.5
    return str(row["rollout_id"])


def count_an_answer_twice(rows: Rows) -> str:
    row = rows["probes"][0]
    for column in ("answers", "answer_logprobs"):
        row[column] = [*row[column], row[column][0]]
    row["num_probes"] += 1
    return str(row["rollout_id"])


def raise_difficulty(rows: Rows) -> str:
    row = next(
        row for row in rows["problems"] if row["problem_id"] == rows["rollouts"][0]["problem_id"]
    )
    row["difficulty"] = 4
    return str(rows["rollouts"][0]["rollout_id"])


def number_from_one(table: str, column: str) -> Corruption:
    """Count from 1 where 0 is the first."""

    def corrupt(rows: Rows) -> str:
        for row in rows[table]:
            row[column] += 1
        return str(rows[table][0]["rollout_id"])

    return corrupt


FORCED = 1  # index of a forced rollout among the sound ones
CORRUPTIONS: list[tuple[str, Corruption, str, str, int | None]] = [
    # what is planted, how, and the table, column and count that must be named; None stands for
    # every row
    (
        "nan log-prob",
        put_entry("rollouts", "sampler_logprobs", np.nan),
        "rollouts",
        "num_nonfinite_logprobs",
        1,
    ),
    (
        "infinite log-prob",
        put_entry("rollouts", "sampler_logprobs", -np.inf),
        "rollouts",
        "num_nonfinite_logprobs",
        1,
    ),
    (
        "null log-prob",
        put_entry("rollouts", "sampler_logprobs", None),
        "rollouts",
        "num_nonfinite_logprobs",
        1,
    ),
    (
        "log-prob above 0",
        put_entry("rollouts", "sampler_logprobs", 0.5),
        "rollouts",
        "max_logprob",
        1,
    ),
    (
        "fewer log-probs than tokens",
        put("rollouts", "sampler_logprobs", lambda row: row["sampler_logprobs"][:-1]),
        "rollouts",
        "num_missing_logprobs",
        1,
    ),
    (
        "token past vocabulary",
        put_entry("rollouts", "completion_tokens", 10**6),
        "rollouts",
        "max_token",
        1,
    ),
    ("negative token", put_entry("rollouts", "completion_tokens", -7), "rollouts", "min_token", 1),
    ("null token", put_entry("rollouts", "completion_tokens", None), "rollouts", "min_token", 1),
    ("empty completion", put("rollouts", "completion_tokens", []), "rollouts", "num_tokens", 1),
    (
        "tokens after the end",
        put_entry("rollouts", "completion_tokens", 2),
        "rollouts",
        "num_early_eos",
        1,
    ),
    ("foreign policy", put("rollouts", "policy_id", "i3"), "rollouts", "policy_id", 1),
    ("foreign temperature", put("rollouts", "temperature", 0.7), "rollouts", "temperature", 1),
    ("no temperature", put("rollouts", "temperature", np.nan), "rollouts", "temperature", 1),
    ("negative seed", put("rollouts", "seed", -1), "rollouts", "is_seed_derived", 1),
    ("another seed", put("rollouts", "seed", 4), "rollouts", "is_seed_derived", 1),
    (
        "seeds of their neighbours",
        lambda rows: rotate(rows, "rollouts", "seed"),
        "rollouts",
        "is_seed_derived",
        None,
    ),
    (
        "log-prob that no sampler draws",
        put_entry("rollouts", "sampler_logprobs", -1e30),
        "rollouts",
        "min_logprob",
        1,
    ),
    (
        "null answer probed",
        put_entry("probes", "answers", None),
        "probes",
        "num_missing_answers",
        1,
    ),
    (
        "metadata of another problem",
        lambda rows: repeat_before(rows, "problems", "metadata"),
        "problems",
        "num_metadata_problems",
        2,
    ),
    *(
        (
            f"problems that exchanged {' and '.join(columns)}",
            lambda rows, columns=columns: exchange(rows, *columns),
            "problems",
            "is_as_drawn",
            2,
        )
        for columns in (
            *(("metadata",), ("answer",), ("seed",), ("prompt",), ("metadata", "answer")),
            ("prompt", "metadata", "answer", "seed"),
        )
    ),
    (
        "another difficulty",
        put("problems", "difficulty", 7),
        "problems",
        "is_as_drawn",
        1,
    ),
    (
        "text of other tokens",
        put("rollouts", "completion_text", lambda row: row["completion_text"] + " "),
        "rollouts",
        "is_completion_text_of_tokens",
        1,
    ),
    (
        "no text",
        put("rollouts", "completion_text", None),
        "rollouts",
        "is_completion_text_of_tokens",
        1,
    ),
    (
        "prompt that reads otherwise",
        put("rollouts", "prompt_text", "1 + 1"),
        "rollouts",
        "is_prompt_text_of_tokens",
        1,
    ),
    (
        "segment that reads otherwise",
        put("segments", "text", "no"),
        "segments",
        "is_text_of_tokens",
        1,
    ),
    (
        "unknown problem",
        put("rollouts", "problem_id", "countdown:1-2-3>9"),
        "rollouts",
        "problem_split",
        1,
    ),
    ("held-out problem", ask_heldout_problem, "rollouts", "problem_split", GROUP_SIZE),
    (
        "foreign prompt",
        put_entry("rollouts", "prompt_tokens", 9, entry=1),
        "rollouts",
        "is_prompt_of_problem",
        1,
    ),
    ("foreign rollout id", put("rollouts", "rollout_id", "i2/x/0"), "rollouts", "is_id_derived", 1),
    ("wrong group size", shrink_group, "rollouts", "num_group_rollouts", GROUP_SIZE - 1),
    ("shared seed", share_a_seed, "rollouts", "seed", 2),
    (
        "thinking past its budget",
        think_past_the_budget,
        "rollouts",
        "num_sampled_thinking_tokens",
        1,
    ),
    (
        "answer past its room",
        put("rollouts", "num_thinking_tokens", 0, FORCED),
        "rollouts",
        "num_answer_tokens",
        1,
    ),
    (
        "unknown finish reason",
        put("rollouts", "finish_reason", "abort"),
        "rollouts",
        "finish_reason",
        1,
    ),
    (
        "finish reason denied by tokens",
        put("rollouts", "finish_reason", "length"),
        "rollouts",
        "is_end_as_told",
        1,
    ),
    (
        "fewer origins than tokens",
        put("rollouts", "token_origin", lambda row: row["token_origin"][:-1]),
        "rollouts",
        "num_missing_origins",
        1,
    ),
    (
        "unknown origin",
        put_entry("rollouts", "token_origin", 3),
        "rollouts",
        "num_unknown_origins",
        1,
    ),
    (
        "log-prob of a cue that was put there",
        put(
            "rollouts",
            "sampler_logprobs",
            lambda row: [-1.0] * len(row["completion_tokens"]),
            FORCED,
        ),
        "rollouts",
        "num_logprobs_not_sampled",
        1,
    ),
    (
        "reply behind thinking",
        put("rollouts", "token_origin", lambda row: [*row["token_origin"][:-1], 2]),
        "rollouts",
        "num_late_environment_tokens",
        1,
    ),
    (
        "cue where there is none",
        put_entry("rollouts", "token_origin", 1),
        "rollouts",
        "num_foreign_cue_tokens",
        1,
    ),
    (
        "thinking that ends before its cue",
        put("rollouts", "num_thinking_tokens", 1, FORCED),
        "rollouts",
        "num_missing_cue_tokens",
        1,
    ),
    (
        "cue that was put there without a reason",
        put("rollouts", "finish_reason", "stop", FORCED),
        "rollouts",
        "is_cue_as_told",
        1,
    ),
    ("no score", drop("scores"), "rollouts", "is_scored", 1),
    (
        "score of an unknown rollout",
        rename("scores", "rollout_id", "i2/x/0"),
        "scores",
        "is_of_known_rollout",
        1,
    ),
    ("reward out of range", put("scores", "reward", 1.5), "scores", "reward", 1),
    ("nan reward", put("scores", "reward", np.nan), "scores", "reward_residual", 1),
    (
        "reward against its verdict",
        put("scores", "reward", lambda row: 1 - (row["reward"])),
        "scores",
        "reward_residual",
        1,
    ),
    (
        "reward without a verdict",
        put("scores", "verdict", Verdict.TIMEOUT),
        "scores",
        "reward_residual",
        1,
    ),
    ("unknown verdict", put("scores", "verdict", "fine"), "scores", "verdict", 1),
    ("answer of another rollout", judge_another_answer, "scores", "is_answer_of_rollout", 1),
    ("overlapping segments", overlap_segments, "segments", "start_gap_tokens", 1),
    ("gap between segments", part_segments, "segments", "start_gap_tokens", 1),
    ("uncovered end", uncover_the_end, "segments", "tail_gap_tokens", 1),
    ("answer before thinking", answer_first, "segments", "is_answer_last", 1),
    (
        "segment left out",
        drop("segments", lambda row: row["segment_index"] == 1),
        "segments",
        "start_gap_tokens",
        1,
    ),
    (
        "no segments",
        drop("segments", lambda row: row["rollout_id"].endswith("/3")),
        "rollouts",
        "num_segments",
        1,
    ),
    ("probe left out", drop("probes"), "rollouts", "num_missing_boundaries", 1),
    ("probe beside its boundary", probe_other_segments, "probes", "position_gap_tokens", 1),
    ("answer counted twice", count_an_answer_twice, "probes", "num_repeated_answers", 1),
    ("foreign estimator", put("probes", "estimator", "forced_answer"), "probes", "estimator", 1),
    (
        "answer log-prob above 0",
        put_entry("probes", "answer_logprobs", 0.5),
        "probes",
        "max_answer_logprob",
        1,
    ),
    (
        "solution set past certainty",
        put_entry("probes", "answer_logprobs", 0.5),
        "probes",
        "set_success",
        1,
    ),
    (
        "nan answer log-prob",
        put_entry("probes", "answer_logprobs", np.nan),
        "probes",
        "num_nonfinite_answer_logprobs",
        1,
    ),
    (
        "judged answers that were not asked",
        put("gains", "num_judged_after", 99),
        "gains",
        "is_judged_after",
        1,
    ),
    (
        "stale gold log-prob",
        put("probes", "gold_logprob_nats", -50.0),
        "probes",
        "gold_logprob_residual",
        1,
    ),
    ("no gain", drop("gains"), "segments", "is_credited", 1),
    ("gain of no segment", rename("gains", "rollout_id", "i2/x/0"), "gains", "segment_kind", 1),
    ("success above 1", put("gains", "success_after", 1.5), "gains", "success_after", 1),
    ("nan success", put("gains", "success_before", np.nan), "gains", "success_before_residual", 1),
    (
        "success missing",
        put("gains", "success_before", None),
        "gains",
        "success_before_residual",
        1,
    ),
    ("progress that does not telescope", stop_telescoping, "gains", "telescoping_residual", 1),
    ("nan progress", put("gains", "progress", np.nan), "gains", "progress_residual", 1),
    ("gains of other probes", keep_stale_gains, "gains", "success_before_residual", None),
    ("success that jumps", break_the_chain, "gains", "is_unbroken", 1),
    (
        "information gain of another base",
        put("gains", "info_gain_nats", 9.0),
        "gains",
        "info_gain_nats_residual",
        1,
    ),
    (
        "standard error of an exact estimate",
        put("gains", "stderr", 0.1),
        "gains",
        "stderr_residual",
        1,
    ),
    ("prompt of both splits", leak_prompt, "problems", "num_prompt_splits", 2),
    ("unknown split", put("problems", "split", "test"), "problems", "split", 1),
    ("problem of another task", put("problems", "task", "chess"), "problems", "task", 1),
    ("metadata that is not JSON", put("problems", "metadata", "{"), "problems", "metadata", 1),
    ("unnamed problem", put("problems", "problem_id", "", index=-1), "problems", "problem_id", 1),
    ("negative difficulty", put("problems", "difficulty", -1), "problems", "difficulty", 1),
    ("empty prompt", put("problems", "prompt", "", index=-1), "problems", "prompt", 1),
    ("empty reference answer", put("problems", "answer", ""), "problems", "answer", 1),
    ("difficulty outside the recipe", raise_difficulty, "rollouts", "difficulty", GROUP_SIZE),
    (
        "sample outside the group",
        put("rollouts", "sample_index", GROUP_SIZE),
        "rollouts",
        "sample_index",
        1,
    ),
    (
        "thinking past the end",
        put("rollouts", "num_thinking_tokens", 70),
        "rollouts",
        "num_answer_tokens",
        1,
    ),
    (
        "no answer segment",
        drop("segments", lambda row: row["kind"] == "answer"),
        "rollouts",
        "num_missing_answer_segments",
        1,
    ),
    (
        "segment of an unknown rollout",
        rename("segments", "rollout_id", "i2/x/0"),
        "segments",
        "is_of_known_rollout",
        1,
    ),
    (
        "segments numbered from 1",
        number_from_one("segments", "segment_index"),
        "segments",
        "index_gap",
        None,
    ),
    ("unknown kind", put("segments", "kind", "thought"), "segments", "kind", 1),
    (
        "empty segment",
        put("segments", "end_token", lambda row: row["start_token"]),
        "segments",
        "num_tokens",
        1,
    ),
    (
        "empty thinking segment",
        put("segments", "end_token", lambda row: row["start_token"]),
        "segments",
        "num_sampled_tokens",
        1,
    ),
    ("segment that a reply begins", begin_with_a_reply, "segments", "is_start_sampled", 1),
    (
        "answer segment before the cue",
        put("segments", "kind", "answer"),
        "segments",
        "is_answer_at_cue",
        1,
    ),
    (
        "unknown attempt verdict",
        put("segments", "attempt_verdict", "fine"),
        "segments",
        "attempt_verdict",
        1,
    ),
    (
        "probe of an unknown rollout",
        rename("probes", "rollout_id", "i2/x/0"),
        "probes",
        "is_of_known_rollout",
        1,
    ),
    (
        "boundaries numbered from 1",
        number_from_one("probes", "boundary_index"),
        "probes",
        "index_gap",
        None,
    ),
    ("no answer tried", put("probes", "num_probes", 0), "probes", "num_probes", 1),
    ("answers not stored", put("probes", "num_probes", 99), "probes", "num_missing_answers", 1),
    (
        "fewer answer log-probs than answers",
        put("probes", "answer_logprobs", []),
        "probes",
        "num_missing_answer_logprobs",
        1,
    ),
    (
        "gains of another estimator",
        put("gains", "estimator", "forced_answer"),
        "gains",
        "estimator",
        1,
    ),
    ("success below 0", put("gains", "success_before", -0.1), "gains", "success_before", 1),
    (
        "judged answers below 0",
        put("gains", "num_judged_before", -1),
        "gains",
        "is_judged_before",
        1,
    ),
    (
        "success after of other probes",
        put("gains", "success_after", 0.99),
        "gains",
        "success_after_residual",
        1,
    ),
    ("negative standard error", put("gains", "stderr", -0.1), "gains", "stderr", 1),
    (
        "carrying that was none",
        put("gains", "is_carried", True),
        "gains",
        "is_carrying_told",
        1,
    ),
    ("value past certainty", put("probes", "value", 1.5), "probes", "value", 1),
    ("value of no critic", put("probes", "value", 0.5), "probes", "is_value_due", 1),
    ("judge's score past certainty", put("scores", "judge_score", 1.5), "scores", "judge_score", 1),
]

each_corruption = pytest.mark.parametrize(
    ("corrupt", "table", "column", "count"),
    [case[1:] for case in CORRUPTIONS],
    ids=[case[0] for case in CORRUPTIONS],
)
