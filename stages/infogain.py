"""Estimate how much each segment of a rollout raised the chance of success.

Reads   probes, one row per boundary probed; rollouts and problems, to judge sampled answers;
        params.yaml `task` and the recipe's `probe`.
Writes  gains, one row per thinking segment: success before and after (fractions), progress,
        information gain in nats, standard error of progress.
Method  Success J at a boundary is the probability of the correct answers, the mean reward of the
        sampled ones (their share of correct ones, but for partial credit), or a critic's value;
        progress is J after minus J before. At a boundary not probed J is that of the last one
        probed before it. Information is the gain in log-probability of the correct answers, or the
        fall in entropy of the sampled ones times, with `gate_by_success`, success after it: then a
        segment that makes the policy sure of an answer without reward earns nothing, and the sum
        over segments telescopes no longer (`stages.pure.information`).
Limits  A row is null where every probe of one of its boundaries lost its verifier. The standard
        error of a critic's progress is given as 0, which leaves out that the critic may be wrong.

Example: python -m stages.infogain --round-id i1 --problems data/problems.parquet \
         --rollouts data/rounds/i1/rollouts.parquet --probes data/rounds/i1/probes.parquet \
         --gains data/rounds/i1/gains.parquet
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int, Shaped

from stages.contracts.params.base import Name, read_section
from stages.contracts.params.recipes.probe import Probe
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
from stages.running.progress import ProgressBar
from stages.running.publish import RunFacts
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem
from stages.verifiers.isolated import Submission, VerifierWorkers, open_verifiers

PerBoundary = Float[np.ndarray, "*rollout boundary"]


class Boundaries(NamedTuple):
    """What the probes of some boundaries say; NaN where the estimator says nothing."""

    success: PerBoundary
    variance: PerBoundary
    num_judged: Int[np.ndarray, "*rollout boundary"]
    log_success: PerBoundary
    entropy: PerBoundary


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
    probe: Probe = read_section(params_file, f"recipes.{recipe}.probe", Probe)
    task = read_section(params_file, "task", TaskParams)
    facts = RunFacts("infogain")
    known = {problem.problem_id: problem for problem in read_problems(problems)}
    num_probes = count_rows(probes, PROBES)

    with (
        facts.phase("estimating"),
        ProgressBar(f"infogain {round_id}", num_probes, unit="boundary") as progress,
        table_writer(gains, GAINS) as to_gains,
        open_verifiers(task) as verifiers,
    ):
        for probed, rollout_problems in aligned(
            "rollout_id",
            read_batches(probes, PROBES),
            read_batches(rollouts, ROLLOUTS, ["rollout_id", "problem_id"]),
        ):
            rewards = {}
            if probe.success_from == "sampled_answers":
                rewards = verify_answers(verifiers, probed, rollout_problems, known)
            to_gains.add_table(gains_of(probed, rewards, probe))
            progress.add(probed.num_rows)
    facts.count(num_segments=to_gains.num_rows)
    facts.write(gains)


def verify_answers(
    verifiers: VerifierWorkers,
    probed: pa.Table,
    rollout_problems: pa.Table,
    known: Mapping[str, Problem],
) -> dict[int, Float[np.ndarray, " _"]]:
    """Reward of each sampled answer by the row of its boundary; NaN where the verifier failed.

    Raises:
        BadInput: probes are of a rollout, or a rollout of a problem, that is not there.
    """
    sampled = probed.select(["rollout_id", "answers"]).to_pylist()
    problem_of = dict(
        zip(
            rollout_problems["rollout_id"].to_pylist(),
            rollout_problems["problem_id"].to_pylist(),
            strict=True,
        )
    )
    foreign = [
        row["rollout_id"] for row in sampled if problem_of.get(row["rollout_id"]) not in known
    ]
    if foreign:
        raise BadInput(
            f"table probes, column rollout_id: {len(foreign)} row(s) are of a rollout whose "
            f"problem is not known; first {foreign[0]}; run `dvc repro` to probe again"
        )
    submissions = [
        Submission(known[problem_of[row["rollout_id"]]], text, False)
        for row in sampled
        for text in row["answers"]
    ]
    verifications = iter(verifiers.verify(submissions))
    rewards = {}
    for place, row in enumerate(sampled):
        of_boundary = [next(verifications) for _ in row["answers"]]
        rewards[place] = np.array(
            [np.nan if one is None or one.reward is None else one.reward for one in of_boundary]
        )
    return rewards


def gains_of(
    probed: pa.Table, rewards: Mapping[int, Float[np.ndarray, " _"]], probe: Probe
) -> pa.Table:
    """Gains of the segments of whole rollouts from their boundaries, those probed, in order.

    Rollouts that were probed at the same boundaries are computed together, as the rows of one
    array.
    """
    counted = pc.value_counts(probed["rollout_id"])
    lengths = counted.field("counts").to_numpy()
    starts = lengths.cumsum() - lengths
    index, flat = probed["boundary_index"].to_numpy(), at_boundaries(probed, rewards, probe)
    num_segments = index[starts + lengths - 1]
    first_segments = num_segments.cumsum() - num_segments
    identity = {
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
        for name, values in stacked_gains(stack, probed_at, probe).items():
            columns.setdefault(name, np.zeros(num_segments.sum(), values.dtype))[places] = values
    arrays = [
        identity[field.name].cast(field.type)
        if field.name in identity
        else pa.array(columns.get(field.name, np.zeros(0)), field.type, from_pandas=field.nullable)
        for field in GAINS.schema
    ]
    return pa.Table.from_arrays(arrays, schema=GAINS.schema)


def by_layout(
    index: Int[np.ndarray, " row"],
    starts: Int[np.ndarray, " rollout"],
    lengths: Int[np.ndarray, " rollout"],
) -> Iterator[tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
    """The sets of boundaries at which rollouts were probed, each with the rollouts that were."""
    rollouts_by_layout: defaultdict[bytes, list[int]] = defaultdict(list)
    for rollout, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        rollouts_by_layout[index[start : start + length].tobytes()].append(rollout)
    return (
        (np.frombuffer(layout, index.dtype), np.array(rollouts))
        for layout, rollouts in rollouts_by_layout.items()
    )


def stacked_gains(
    boundaries: Boundaries, index: Int[np.ndarray, " boundary"], probe: Probe
) -> dict[str, Shaped[np.ndarray, "rollout segment"]]:
    """Columns of gains of rollouts that were all probed at the boundaries `index`."""
    success, log_success, entropy = (
        information.carried(values, index)
        for values in (boundaries.success, boundaries.log_success, boundaries.entropy)
    )
    num_judged, is_probed = np.zeros(success.shape, dtype=int), np.zeros(success.shape[1], bool)
    num_judged[:, index], is_probed[index] = boundaries.num_judged, True
    nats = information.information_gain(log_success)
    if probe.nats_from == "entropy":
        nats = information.entropy_fall(entropy)
    return {
        "segment_index": np.broadcast_to(np.arange(index[-1]), nats.shape),
        "num_judged_before": num_judged[:, :-1],
        "num_judged_after": num_judged[:, 1:],
        "success_before": success[:, :-1],
        "success_after": success[:, 1:],
        "progress": information.progress(success),
        "info_gain_nats": nats * success[:, 1:] if probe.is_gated else nats,
        "stderr": information.carried_stderr(boundaries.variance, index),
        "is_carried": np.broadcast_to(~(is_probed[:-1] & is_probed[1:]), nats.shape),
    }


def at_boundaries(
    probed: pa.Table, rewards: Mapping[int, Float[np.ndarray, " _"]], probe: Probe
) -> Boundaries:
    """What each boundary's probes say, by their estimator.

    `rewards` are those of its sampled answers. An estimate that is not sampled has no variance.
    """
    success = probed["value"].to_numpy().astype(np.float64)
    num_judged = probed["num_probes"].to_numpy().astype(int)
    variance, entropy = np.zeros(len(success)), np.full(len(success), np.nan)
    if probe.success_from == "known_answers":
        success = known_success(probed)
    elif probe.success_from == "sampled_answers":
        for row, of_answers in rewards.items():
            success[row] = information.sampled_success(of_answers)
            variance[row] = information.success_variance(of_answers)
            num_judged[row] = np.count_nonzero(~np.isnan(of_answers))
    if probe.nats_from == "entropy":
        for row, answers in enumerate(probed["answers"].to_pylist()):
            entropy[row] = information.answer_entropy(answer_counts(answers))
    log_success = probed["gold_logprob_nats"].to_numpy().astype(np.float64)
    return Boundaries(success, variance, num_judged, log_success, entropy)


def known_success(probed: pa.Table) -> Float[np.ndarray, " boundary"]:
    """Success by the log-probabilities of known answers, as many at a time as have one number."""
    logprobs = pc.list_flatten(probed["answer_logprobs"]).to_numpy().astype(np.float64)
    lengths = pc.list_value_length(probed["answer_logprobs"]).to_numpy()
    starts = lengths.cumsum() - lengths
    success = np.zeros(len(lengths))
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        success[rows] = information.set_success(logprobs[starts[rows][:, None] + np.arange(length)])
    return success


if __name__ == "__main__":
    command(main, writes=("gains",))
