"""Estimate how much each segment of a rollout raised the chance of success.

Reads   probes, one row per boundary probed; rollouts and problems, to judge sampled answers; params.yaml `task` and the
        recipe's `probe`.
Writes  gains, one row per thinking segment: success before and after (fractions), progress, information gain in
        nats, standard error of progress.
Method  Success J at a boundary is the probability of the correct answers, the share of correct ones among the sampled,
        or a critic's value; progress is J after minus J before. Between boundaries probed J is interpolated.
        Information is the gain in log-probability of the correct answers, or the fall in entropy of the sampled ones
        times, with `gate_by_success`, success after it: then a segment that makes the policy sure of a wrong answer
        earns nothing, and the sum over segments telescopes no longer (`stages.pure.information`).
Limits  A row is null where every probe of one of its boundaries lost its verifier. The standard error of a critic's
        progress is given as 0, which leaves out that the critic may be wrong.

Example: python -m stages.infogain --round-id i1 --problems data/problems.parquet \
         --rollouts data/rounds/i1/rollouts.parquet --probes data/rounds/i1/probes.parquet \
         --gains data/rounds/i1/gains.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from stages.contracts import params, tables
from stages.contracts.errors import BadInput, command
from stages.contracts.facts import RunFacts
from stages.contracts.joins import aligned
from stages.contracts.progress import Progress
from stages.contracts.recipe_params import AnswerEntropy
from stages.pure import information
from stages.pure.agreement import answer_counts
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
from stages.verifiers.isolated import Pool, Request, open_pool

SAMPLED = ("forced_answer", "answer_entropy")
Row = Mapping[str, Any]


class Estimate(NamedTuple):
    """What the probes of one rollout say: success and answers judged at each boundary probed.

    `stderr` of the change in success, and information gained, from each boundary probed to the next.
    """

    success: np.ndarray
    num_judged: np.ndarray
    stderr: np.ndarray
    info_gain_nats: np.ndarray | None


def main(
    round_id: str,
    problems: Path,
    rollouts: Path,
    probes: Path,
    gains: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Estimate the gains of one round."""
    everything = params.load(params_file)
    probe = everything.recipes[everything.rounds[round_id].recipe].probe
    gates_by_success = isinstance(probe, AnswerEntropy) and probe.gate_by_success
    facts = RunFacts("infogain")
    known = {problem.problem_id: problem for problem in read_problems(problems)}
    num_probes = tables.count_rows(probes, tables.PROBES)

    with (
        facts.phase("estimating"),
        Progress(f"infogain {round_id}", num_probes, unit="boundary") as progress,
        tables.writer(gains, tables.GAINS) as to_gains,
        open_pool(everything.task) as pool,
    ):
        for probed, asked in aligned(
            "rollout_id",
            tables.batches(probes, tables.PROBES),
            tables.batches(rollouts, tables.ROLLOUTS, ["rollout_id", "problem_id"]),
        ):
            rows = probed.to_pylist()
            sampled = [row for row in rows if row["estimator"] in SAMPLED]
            rewards = judge_answers(pool, sampled, asked, known) if sampled else {}
            to_gains.add(
                gain
                for rollout_id, boundaries in groupby(rows, key=itemgetter("rollout_id"))
                for gain in gain_rows(rollout_id, list(boundaries), rewards, gates_by_success)
            )
            progress.add(len(rows))
    facts.count(num_segments=to_gains.num_rows)
    facts.write(gains)


def judge_answers(
    pool: Pool, rows: Sequence[Row], asked: pa.Table, known: Mapping[str, Problem]
) -> dict[tuple[str, int], np.ndarray]:
    """Reward of each sampled answer by (rollout_id, boundary_index); NaN where the verifier failed.

    Raises:
        BadInput: probes are of a rollout, or a rollout of a problem, that is not there.
    """
    problem_of = dict(zip(asked["rollout_id"].to_pylist(), asked["problem_id"].to_pylist(), strict=True))
    foreign = [row["rollout_id"] for row in rows if problem_of.get(row["rollout_id"]) not in known]
    if foreign:
        raise BadInput(
            f"table probes, column rollout_id: {len(foreign)} row(s) are of a rollout whose problem is not known; "
            f"first {foreign[0]}; run `dvc repro` to probe again"
        )
    requests = [Request(known[problem_of[row["rollout_id"]]], text, False) for row in rows for text in row["answers"]]
    verdicts = iter(pool.judge(requests))
    rewards = {}
    for row in rows:
        judged = [next(verdicts) for _ in row["answers"]]
        values = [np.nan if verdict is None or verdict.reward is None else verdict.reward for verdict in judged]
        rewards[row["rollout_id"], row["boundary_index"]] = np.array(values)
    return rewards


def gain_rows(
    rollout_id: str,
    boundaries: Sequence[Row],
    rewards: Mapping[tuple[str, int], np.ndarray],
    gates_by_success: bool,
) -> Iterator[Row]:
    """Gains of one rollout's segments from its boundaries, those probed, in order."""
    found = estimate([{**row, "rewards": rewards.get((rollout_id, row["boundary_index"]))} for row in boundaries])
    index = np.array([row["boundary_index"] for row in boundaries])
    success = information.interpolated_success(found.success, index)
    stderr = information.spread_evenly(found.stderr, index)
    nats = found.info_gain_nats
    if nats is not None and gates_by_success:
        nats = nats * success[1:]
    is_probed = np.isin(np.arange(len(success)), index)
    num_judged = np.zeros(len(success), dtype=int)
    num_judged[index] = found.num_judged
    for segment, progress in enumerate(information.progress(success)):
        yield {
            "rollout_id": rollout_id,
            "segment_index": segment,
            "num_judged_before": int(num_judged[segment]),
            "num_judged_after": int(num_judged[segment + 1]),
            "success_before": _nullable(success[segment]),
            "success_after": _nullable(success[segment + 1]),
            "progress": _nullable(progress),
            "info_gain_nats": None if nats is None else _nullable(nats[segment]),
            "stderr": _nullable(stderr[segment]),
            "is_interpolated": bool(not is_probed[segment : segment + 2].all()),
            "estimator": boundaries[0]["estimator"],
        }


def estimate(boundaries: Sequence[Row]) -> Estimate:
    """What a rollout's probes say, by their estimator. `rewards` of a boundary are those of its sampled answers."""
    estimator, num_stretches = boundaries[0]["estimator"], len(boundaries) - 1
    num_judged = np.array([row["num_probes"] for row in boundaries])
    if estimator == "critic":
        return Estimate(np.array([row["value"] for row in boundaries]), num_judged, np.zeros(num_stretches), None)
    if estimator not in SAMPLED:
        success = np.array([information.set_success(np.array(row["answer_logprobs"])) for row in boundaries])
        nats = information.information_gain(np.array([row["gold_logprob_nats"] for row in boundaries]))
        return Estimate(success, num_judged, np.zeros(num_stretches), nats)
    success = np.array([information.sampled_success(row["rewards"]) for row in boundaries])
    num_judged = np.array([np.count_nonzero(~np.isnan(row["rewards"])) for row in boundaries])
    stderr = information.progress_stderr(success, num_judged)
    if estimator == "forced_answer":
        return Estimate(success, num_judged, stderr, None)
    entropy = [information.answer_entropy(answer_counts(row["answers"])) for row in boundaries]
    return Estimate(success, num_judged, stderr, information.entropy_fall(np.array(entropy)))


def _nullable(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


if __name__ == "__main__":
    command(main)
