"""Estimate how much each segment of a rollout raised the chance of success.

Reads   probes, one row per boundary probed; rollouts and problems, to judge sampled answers;
        params.yaml `task` and the recipe's `probe`.
Writes  gains, one row per thinking segment: success before and after (fractions), progress,
        information gain in nats, standard error of progress.
Method  Success J at a boundary is the probability of the correct answers, the mean reward of the
        sampled ones (their share of correct ones, but for partial credit), or a critic's value;
        progress is J after minus J before. Between boundaries probed J is interpolated. Information
        is the gain in log-probability of the correct answers, or the fall in entropy of the sampled
        ones times, with `gate_by_success`, success after it: then a segment that makes the policy
        sure of an answer without reward earns nothing, and the sum over segments telescopes no
        longer (`stages.pure.information`).
Limits  A row is null where every probe of one of its boundaries lost its verifier. The standard
        error of a critic's progress is given as 0, which leaves out that the critic may be wrong.

Example: python -m stages.infogain --round-id i1 --problems data/problems.parquet \
         --rollouts data/rounds/i1/rollouts.parquet --probes data/rounds/i1/probes.parquet \
         --gains data/rounds/i1/gains.parquet
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.contracts.params.base import Name, read_section
from stages.contracts.params.recipes.probe import AnswerEntropy, Probe
from stages.contracts.params.task import TaskParams
from stages.contracts.storage.joins import aligned
from stages.contracts.storage.reading import count_rows, read_batches
from stages.contracts.storage.writing import table_writer
from stages.contracts.tables.gains import GAINS
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.pure import information
from stages.pure.agreement import answer_counts
from stages.running.errors import BadInput, command
from stages.running.facts import RunFacts
from stages.running.progress import Progress
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
from stages.verifiers.isolated import Pool, Request, open_pool

SAMPLED = ("forced_answer", "answer_entropy")


class Boundaries(NamedTuple):
    """What the probes of some boundaries say, [rollout, boundary] or flat; NaN where the estimator
    says nothing.
    """

    success: np.ndarray
    variance: np.ndarray
    num_judged: np.ndarray
    is_sampled: np.ndarray
    log_success: np.ndarray
    entropy: np.ndarray


def main(
    round_id: str,
    problems: Path,
    rollouts: Path,
    probes: Path,
    gains: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Estimate the gains of one round."""
    recipe = read_section(params_file, f"rounds.{round_id}.recipe", Name)
    probe = read_section(params_file, f"recipes.{recipe}.probe", Probe)
    task = read_section(params_file, "task", TaskParams)
    gates_by_success = isinstance(probe, AnswerEntropy) and probe.gate_by_success
    facts = RunFacts("infogain")
    known = {problem.problem_id: problem for problem in read_problems(problems)}
    num_probes = count_rows(probes, PROBES)

    with (
        facts.phase("estimating"),
        Progress(f"infogain {round_id}", num_probes, unit="boundary") as progress,
        table_writer(gains, GAINS) as to_gains,
        open_pool(task) as pool,
    ):
        for probed, asked in aligned(
            "rollout_id",
            read_batches(probes, PROBES),
            read_batches(rollouts, ROLLOUTS, ["rollout_id", "problem_id"]),
        ):
            to_gains.add_table(
                gains_of(probed, judge_answers(pool, probed, asked, known), gates_by_success)
            )
            progress.add(probed.num_rows)
    facts.count(num_segments=to_gains.num_rows)
    facts.write(gains)


def judge_answers(
    pool: Pool, probed: pa.Table, asked: pa.Table, known: Mapping[str, Problem]
) -> dict[int, np.ndarray]:
    """Reward of each sampled answer by the row of its boundary; NaN where the verifier failed.

    Raises:
        BadInput: probes are of a rollout, or a rollout of a problem, that is not there.
    """
    places = np.flatnonzero(_is_any_of(probed["estimator"], SAMPLED))
    sampled = probed.select(["rollout_id", "answers"]).take(places).to_pylist()
    problem_of = dict(
        zip(asked["rollout_id"].to_pylist(), asked["problem_id"].to_pylist(), strict=True)
    )
    foreign = [
        row["rollout_id"] for row in sampled if problem_of.get(row["rollout_id"]) not in known
    ]
    if foreign:
        raise BadInput(
            f"table probes, column rollout_id: {len(foreign)} row(s) are of a rollout whose problem is not known; "
            f"first {foreign[0]}; run `dvc repro` to probe again"
        )
    requests = [
        Request(known[problem_of[row["rollout_id"]]], text, False)
        for row in sampled
        for text in row["answers"]
    ]
    judged = iter(pool.judge(requests))
    rewards = {}
    for place, row in zip(places.tolist(), sampled, strict=True):
        found = [next(judged) for _ in row["answers"]]
        rewards[place] = np.array(
            [np.nan if one is None or one.reward is None else one.reward for one in found]
        )
    return rewards


def gains_of(
    probed: pa.Table, rewards: Mapping[int, np.ndarray], gates_by_success: bool
) -> pa.Table:
    """Gains of the segments of whole rollouts from their boundaries, those probed, in order.

    Rollouts that were probed at the same boundaries are reckoned with together, as the rows of one
    array.
    """
    counted = pc.value_counts(probed["rollout_id"])
    lengths = counted.field("counts").to_numpy()
    starts = lengths.cumsum() - lengths
    index, flat = probed["boundary_index"].to_numpy(), at_boundaries(probed, rewards)
    num_segments = index[starts + lengths - 1]
    first_segments = num_segments.cumsum() - num_segments
    told = {
        "rollout_id": counted.field("values").take(
            pa.array(np.repeat(np.arange(len(lengths)), num_segments))
        ),
        "estimator": probed["estimator"].take(pa.array(np.repeat(starts, num_segments))),
    }
    columns: dict[str, np.ndarray] = {}
    for probed_at, rollouts in by_layout(index, starts, lengths):
        rows = starts[rollouts][:, None] + np.arange(len(probed_at))
        places = first_segments[rollouts][:, None] + np.arange(probed_at[-1])
        stack = Boundaries(*(values[rows] for values in flat))
        for name, values in stacked_gains(stack, probed_at, gates_by_success).items():
            columns.setdefault(name, np.zeros(num_segments.sum(), values.dtype))[places] = values
    arrays = [
        told[field.name].cast(field.type)
        if field.name in told
        else pa.array(columns.get(field.name, np.zeros(0)), field.type, from_pandas=field.nullable)
        for field in GAINS.schema
    ]
    return pa.Table.from_arrays(arrays, schema=GAINS.schema)


def by_layout(
    index: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The sets of boundaries at which rollouts were probed, each with the rollouts that were."""
    found: defaultdict[bytes, list[int]] = defaultdict(list)
    for rollout, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        found[index[start : start + length].tobytes()].append(rollout)
    return (
        (np.frombuffer(layout, index.dtype), np.array(rollouts))
        for layout, rollouts in found.items()
    )


def stacked_gains(
    found: Boundaries, index: np.ndarray, gates_by_success: bool
) -> dict[str, np.ndarray]:
    """Columns of gains, [rollout, segment], of rollouts that were all probed at the boundaries
    `index`.
    """
    success, log_success, entropy = (
        information.interpolated(values, index)
        for values in (found.success, found.log_success, found.entropy)
    )
    num_judged, is_probed = (
        np.zeros(success.shape, dtype=int),
        np.zeros(success.shape[1], dtype=bool),
    )
    num_judged[:, index], is_probed[index] = found.num_judged, True
    is_sampled = found.is_sampled[:, :1]
    stderr = np.where(is_sampled, information.progress_stderr(found.variance), 0.0)
    nats = np.where(
        is_sampled, information.entropy_fall(entropy), information.information_gain(log_success)
    )
    return {
        "segment_index": np.broadcast_to(np.arange(index[-1]), nats.shape),
        "num_judged_before": num_judged[:, :-1],
        "num_judged_after": num_judged[:, 1:],
        "success_before": success[:, :-1],
        "success_after": success[:, 1:],
        "progress": information.progress(success),
        "info_gain_nats": nats * success[:, 1:] if gates_by_success else nats,
        "stderr": information.spread_evenly(stderr, index),
        "is_interpolated": np.broadcast_to(~(is_probed[:-1] & is_probed[1:]), nats.shape),
    }


def at_boundaries(probed: pa.Table, rewards: Mapping[int, np.ndarray]) -> Boundaries:
    """What each boundary's probes say, by their estimator.

    `rewards` are those of its sampled answers.
    """
    is_sampled = _is_any_of(probed["estimator"], SAMPLED)
    success, log_success = (
        probed[name].to_numpy().astype(np.float64) for name in ("value", "gold_logprob_nats")
    )
    num_judged = probed["num_probes"].to_numpy().astype(int)
    variance, entropy = np.full(len(success), np.nan), np.full(len(success), np.nan)

    is_known = ~is_sampled & ~_is_any_of(probed["estimator"], ["critic"])
    logprobs = pc.list_flatten(probed["answer_logprobs"]).to_numpy().astype(np.float64)
    lengths = pc.list_value_length(probed["answer_logprobs"]).to_numpy()
    starts = lengths.cumsum() - lengths
    for length in np.unique(lengths[is_known]):
        rows = np.flatnonzero(is_known & (lengths == length))
        success[rows] = information.set_success(logprobs[starts[rows][:, None] + np.arange(length)])
    for row, judged in rewards.items():
        success[row], variance[row] = (
            information.sampled_success(judged),
            information.success_variance(judged),
        )
        num_judged[row] = np.count_nonzero(~np.isnan(judged))
    for row in np.flatnonzero(_is_any_of(probed["estimator"], ["answer_entropy"])).tolist():
        entropy[row] = information.answer_entropy(answer_counts(probed["answers"][row].as_py()))
    return Boundaries(success, variance, num_judged, is_sampled, log_success, entropy)


def _is_any_of(texts: pa.ChunkedArray, wanted: Iterable[str]) -> np.ndarray:
    found: np.ndarray = pc.is_in(texts, pa.array(wanted, pa.string())).to_numpy()
    return found


if __name__ == "__main__":
    command(main)
