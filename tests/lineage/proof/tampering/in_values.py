"""Values that contradict each other, every digest made anew: what the gate or a recipe tells."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.lineage.forging import PART, cover_up, edited
from tests.lineage.proof.tampering.kinds import (
    ADVANTAGES,
    ANSWERS,
    DEMOS,
    EXAMINED,
    GAINS,
    GRADES,
    LEDGER,
    PROBES,
    PROBLEMS,
    ROLLOUTS,
    SCORES,
    SEGMENTS,
    THOUGHTS,
    kind,
)

NAN, INFINITE = float("nan"), float("inf")


def put(name: str, table: str, column: str, change: Callable[[list], list]) -> None:
    """A kind of tampering with one column."""

    def tamper(tree: Path) -> None:
        edited(tree / table, column, change)
        cover_up(tree, table)

    tamper.__name__ = name
    kind("rows")(tamper)


def first(value: Any) -> Callable[[list], list]:
    """The first value is another; a callable makes it of the one there is."""
    return lambda values: [value(values[0]) if callable(value) else value, *values[1:]]


def rewritten(tree: Path, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a table anew."""
    path = tree / table / PART
    made = change(pq.read_table(path))
    path.unlink()
    pq.write_table(made, path)
    cover_up(tree, table)


def without(name: str, *tables: str, num_rows: int = 3) -> None:
    """A kind of tampering that cuts the last rows of tables."""

    def tamper(tree: Path) -> None:
        for table in tables:
            rewritten(tree, table, lambda rows: rows.slice(0, rows.num_rows - num_rows))

    tamper.__name__ = name
    kind("rows")(tamper)


put("advantage_nan", LEDGER, "mean_advantage", first(NAN))
put("advantage_infinite", LEDGER, "mean_advantage", first(-INFINITE))
put("advantage_null", LEDGER, "mean_advantage", first(None))
put("advantage_beyond_the_limit", LEDGER, "mean_advantage", first(1e6))
put("advantage_of_a_segment_altered", ADVANTAGES, "advantage", first(lambda value: value + 0.5))
put("advantage_of_a_segment_null", ADVANTAGES, "advantage", lambda all_: [None] * len(all_))
put("credit_altered", ADVANTAGES, "credit_advantage", first(lambda value: value + 0.5))
put("tokens_of_a_segment_altered", ADVANTAGES, "num_trained_tokens", first(lambda num: num + 1))
put("clipped_share_of_two", ADVANTAGES, "clipped_frac", lambda all_: [2.0] * len(all_))
put("ledger_tokens_null", LEDGER, "num_trained_tokens", first(None))
put("ledger_status_unknown", LEDGER, "status", first("lucky"))
put("ledger_problem_null", LEDGER, "problem_id", first(None))
put("progress_nan", GAINS, "progress", first(NAN))
put("progress_null", GAINS, "progress", first(None))
put("success_seven", GAINS, "success_after", first(7.0))
put("success_nan", GAINS, "success_before", first(NAN))
put("success_null", GAINS, "success_before", first(None))
put("information_gain_altered", GAINS, "info_gain_nats", first(0.5))
put("standard_error_altered", GAINS, "stderr", first(9.0))
put("answers_judged_altered", GAINS, "num_judged_after", first(99))
without("gains_cut", GAINS)
put("seed_altered", ROLLOUTS, "seed", first(lambda seed: seed + 1))
put("seed_negative", ROLLOUTS, "seed", first(-5))
put("seed_twice", ROLLOUTS, "seed", lambda seeds: [seeds[1], *seeds[1:]])
put("temperature_of_another_recipe", ROLLOUTS, "temperature", lambda all_: [0.7] * len(all_))
put("temperature_nan", ROLLOUTS, "temperature", first(NAN))
put("logprob_nan", ROLLOUTS, "sampler_logprobs", first(lambda nats: [NAN, *nats[1:]]))
put("logprob_null", ROLLOUTS, "sampler_logprobs", first(lambda nats: [None, *nats[1:]]))
put("logprob_too_low", ROLLOUTS, "sampler_logprobs", first(lambda nats: [-1e30, *nats[1:]]))
put("logprobs_fewer", ROLLOUTS, "sampler_logprobs", first(lambda nats: nats[:-1]))
put("thinking_off_by_one", ROLLOUTS, "num_thinking_tokens", first(lambda number: number + 1))
put("finish_reason_denied", ROLLOUTS, "finish_reason", first("length"))
put("sample_index_null", ROLLOUTS, "sample_index", first(None))
without("rollouts_cut", ROLLOUTS)
put("answer_of_another_rollout", SCORES, "answer", first("1 + 1 2"))
put("reward_nan", SCORES, "reward", first(NAN))
without("scores_cut", SCORES)
without("segments_cut", SEGMENTS)
put("probes_without_answers", PROBES, "answers", lambda answers: [[]] * len(answers))
put("probe_without_answers", PROBES, "answers", first([]))
put("probe_of_null_answers", PROBES, "answers", first(lambda texts: [None] * len(texts)))
put("probe_behind_the_rollout", PROBES, "position", first(10_000))
put("probe_logprob_nan", PROBES, "answer_logprobs", first(lambda nats: [NAN, *nats[1:]]))
without("probes_cut", PROBES)
put("answer_used_more_than_its_budget", ANSWERS, "used_tokens", first(9_999))
put("exam_seeds_elsewhere", ANSWERS, "sample_index", first(7))
for column in ("metadata", "answer", "prompt", "seed"):
    put(f"problems_exchanged_{column}", PROBLEMS, column, lambda all_: [*all_[1::-1], *all_[2:]])
put("completion_reads_otherwise", ROLLOUTS, "completion_text", first("1 + 1 2"))
put("segment_reads_otherwise", SEGMENTS, "text", first("1 + 1 2"))
put("thoughts_emptied", THOUGHTS, "thinking_tokens", lambda all_: [[]] * len(all_))
put("thoughts_lengthened", THOUGHTS, "thinking_tokens", lambda all_: [[*one, 5] for one in all_])
put("thoughts_of_another_policy", THOUGHTS, "policy_id", first("r0"))
put("grades_of_another_difficulty", GRADES, "difficulty", first(9))
put("demonstrations_in_another_order", DEMOS, "demo_id", lambda all_: all_[::-1])
without("thoughts_cut", THOUGHTS)
without("exam_cut", ANSWERS, GRADES, num_rows=6)
without("demonstrations_cut", DEMOS)


@kind("rows")
def segments_overlap(tree: Path) -> None:
    """The second of a rollout begins before the first has ended."""
    index = pq.read_table(tree / SEGMENTS)["segment_index"].to_pylist().index(1)

    def change(starts: list) -> list:
        return [start - (place == index) for place, start in enumerate(starts)]

    edited(tree / SEGMENTS, "start_token", change)
    cover_up(tree, SEGMENTS)


@kind("rows")
def tokens_used_in_answers_and_grades_alike(tree: Path) -> None:
    for table in (ANSWERS, GRADES):
        edited(tree / table, "used_tokens", lambda numbers: [9_999] * len(numbers))
        cover_up(tree, table)


@kind("rows")
def rows_of_a_part_twice(tree: Path) -> None:
    rewritten(tree, PROBES, lambda rows: pa.concat_tables([rows, rows]))


@kind("rows")
def part_twice(tree: Path) -> None:
    """Two parts, the second equal to the first."""
    part = tree / PROBES / PART
    content = part.read_bytes()
    part.unlink()
    for number in (0, 1):
        (part.parent / f"part-{number:05d}-of-00002.parquet").write_bytes(content)
    cover_up(tree, PROBES)


@kind("rows")
def column_twice(tree: Path) -> None:
    rewritten(tree, SCORES, lambda rows: rows.append_column("answer", rows["answer"]))


@kind("rows")
def metrics_of_no_number(tree: Path) -> None:
    metrics = json.loads((tree / EXAMINED).read_text())
    for estimate in metrics["all"]["success"].values():
        estimate["mean"] = NAN
    (tree / EXAMINED).write_text(json.dumps(metrics))
    cover_up(tree, EXAMINED)
