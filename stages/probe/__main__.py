"""Estimate, at every segment boundary, what the policy would answer if it had to answer now.

Reads   policy, problems, the solutions known of them, the format of their text, rollouts, segments;
        scores, for a critic;
        params.yaml `compute`, the round's seed, its recipe's `probe`.
Writes  probes, one row per boundary probed: the answers tried and their log-probabilities in nats,
        or a critic's value. Judging answers is the next stage's business.
Method  `set_likelihood` scores the whole set of correct answers, `answer_likelihood` the one known,
        each trace read once (`stages.engines.likelihood`). `forced_answer` and `answer_entropy`
        sample answers, at every boundary or at a random share of them
        (`stages.probe.forced_answers`). All use the same cue at every boundary, the last included.
        `critic` learns a value from the round's rewards (`stages.probe.critic`).

Example: python -m stages.probe --round-id i1 --policy data/policies/r0 \
         --problems data/problems.parquet --text-format data/format.json \
         --rollouts data/rounds/i1/rollouts.parquet --scores data/rounds/i1/scores.parquet \
         --segments data/rounds/i1/segments.parquet --solutions data/solutions.parquet \
         --probes data/rounds/i1/probes.parquet
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from stages.contracts.format import read_format
from stages.contracts.params.base import Name, Seed
from stages.contracts.params.compute import Compute
from stages.contracts.params.reading import read_section
from stages.contracts.params.recipes.probe import (
    AnswerEntropy,
    AnswerLikelihood,
    Critic,
    ForcedAnswer,
    Probe,
    SetLikelihood,
)
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.probes import PROBES
from stages.contracts.tables.problems import PROBLEMS
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.contracts.tables.scores import SCORES
from stages.contracts.tables.segments import SEGMENTS
from stages.contracts.tables.solutions import SOLUTIONS
from stages.engines.device import exclusive_device
from stages.engines.inference import open_pool, open_samplers
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput, command
from stages.running.facts import RunFacts
from stages.running.progress import Progress

COLUMNS = (
    "rollout_id",
    "problem_id",
    "prompt_tokens",
    "completion_tokens",
    "num_thinking_tokens",
    "seed",
)
SEED_RANGE = 2**63  # of derive_seed
KNOWN_ANSWERS = ("set_likelihood", "answer_likelihood")
Row = dict[str, Any]


class Work(NamedTuple):
    """What every estimator starts from.

    A trace is a row of rollouts with its `boundaries`: thinking tokens before each.
    """

    policy: Path
    traces: list[Row]
    cue: list[int]
    renderer: Renderer
    compute: Compute
    facts: RunFacts


def main(
    round_id: str,
    policy: Path,
    problems: Path,
    text_format: Path,
    rollouts: Path,
    scores: Path,
    segments: Path,
    solutions: Path,
    probes: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Probe the rollouts of one round."""
    recipe = read_section(params_file, f"rounds.{round_id}.recipe", Name)
    seed = read_section(params_file, f"rounds.{round_id}.seed", Seed)
    settings = read_section(params_file, f"recipes.{recipe}.probe", Probe)
    compute = read_section(params_file, "compute", Compute)
    facts = RunFacts("probe")
    renderer = Renderer.of_policy(policy)
    boundaries = find_boundaries(read_table(segments, SEGMENTS))
    rows = read_table(rollouts, ROLLOUTS, COLUMNS).to_pylist()
    traces = [{**row, "boundaries": boundaries.get(row["rollout_id"], [0])} for row in rows]
    cue = renderer.cue_tokens(read_format(text_format))
    work = Work(policy, traces, cue, renderer, compute, facts)

    if isinstance(settings, SetLikelihood | AnswerLikelihood):
        answers = known_answers(settings, problems, solutions, traces)
        found = probe_known_answers(work, answers, settings)
    elif isinstance(settings, Critic):
        with exclusive_device("probe"):
            found = probe_by_critic(work, read_rewards(scores), settings, seed)
    else:
        with exclusive_device("probe"):
            found = probe_by_sampling(work, settings)

    write_table(probes, PROBES, found)
    facts.count(num_probes=sum(row["num_probes"] for row in found))
    facts.write(probes)


def find_boundaries(segments: pa.Table) -> dict[str, list[int]]:
    """Boundaries of each rollout's thinking: where its first segment starts and where each one
    ends.
    """
    boundaries: dict[str, list[int]] = {}
    for row in segments.select(["rollout_id", "kind", "end_token"]).to_pylist():
        line = boundaries.setdefault(row["rollout_id"], [0])
        if row["kind"] != "answer":
            line.append(row["end_token"])
    return boundaries


def known_answers(
    settings: SetLikelihood | AnswerLikelihood,
    problems: Path,
    solutions: Path,
    traces: Sequence[Row],
) -> dict[str, list[str]]:
    """The answers whose likelihood is success, by the name of the problem asked.

    Raises:
        BadInput: a problem has no solution in the table.
    """
    asked = {trace["problem_id"] for trace in traces}
    if isinstance(settings, AnswerLikelihood):
        rows = read_table(problems, PROBLEMS, ["problem_id", "answer"]).to_pylist()
        answers = {row["problem_id"]: [row["answer"]] for row in rows}
    else:
        answers = {}
        for row in read_table(solutions, SOLUTIONS).to_pylist():
            answers.setdefault(row["problem_id"], []).append(row["solution"])
    unknown = sorted(asked - answers.keys())
    if unknown:
        raise BadInput(
            f"estimator {settings.estimator} needs the correct answers, and the task lists none for {len(unknown)} of "
            f"the {len(asked)} problems asked, first {unknown[0]}; give the task's class a method solutions, or "
            "set the recipe's probe.estimator to forced_answer"
        )
    return {problem_id: answers[problem_id] for problem_id in asked}


def probe_known_answers(
    work: Work, answers: Mapping[str, Sequence[str]], settings: SetLikelihood | AnswerLikelihood
) -> list[Row]:
    """Probability of every known answer at every boundary; success there is their sum.

    Of several processes each has the whole policy and takes its share of the micro-batches.
    """
    from stages.engines.likelihood import ProbedTrace, answer_logprobs, open_model
    from stages.engines.training import ranks
    from stages.pure.packing import micro_batches

    renderer = work.renderer
    probed = [
        ProbedTrace(
            prefix_tokens=_thought(trace),
            boundaries=_positions(trace),
            answers=[
                [*work.cue, *renderer.encode(text), renderer.eos_token]
                for text in answers[trace["problem_id"]]
            ],
            num_cue_tokens=len(work.cue),
        )
        for trace in work.traces
    ]
    read = partial(
        answer_logprobs,
        micro_batch_tokens=settings.micro_batch_tokens,
        pad_token=renderer.pad_token,
        precision=work.compute.training.precision,
    )
    lengths = [trace.num_tokens for trace in probed]
    batches = micro_batches(lengths, settings.micro_batch_tokens)
    logprobs: dict[int, np.ndarray] = {}
    with ranks.processes("probe", work.compute.num_probe_processes):
        batch_tokens = [sum(lengths[row] for row in rows) for rows in batches]
        own = [batch for batch, counts in ranks.own_work(batch_tokens) if counts]
        parts = ([probed[row] for row in batches[batch]] for batch in own)
        with (
            open_pool(open_model, work.policy, work.compute.inference) as models,
            _advancing(work.facts, "tok", sum(batch_tokens[batch] for batch in own)) as advance,
        ):
            for place, values in models.each(
                read, parts, lambda num_tokens: advance(num_tokens, num_tokens)
            ):
                logprobs.update(zip(batches[own[place]], values, strict=True))
        everywhere = ranks.gathered(logprobs)
        ranks.exit_unless_first()
    work.facts.count(num_tokens=sum(lengths))
    return [
        _probe_row(
            trace,
            index,
            settings.estimator,
            answers[trace["problem_id"]],
            logprobs=values[index].tolist(),
        )
        for trace, values in ((trace, everywhere[row]) for row, trace in enumerate(work.traces))
        for index in range(len(trace["boundaries"]))
    ]


def probe_by_sampling(work: Work, settings: ForcedAnswer | AnswerEntropy) -> list[Row]:
    """Answers sampled at every boundary, or at those drawn, in prefix order: so the engine's prefix
    cache serves.
    """
    from stages.probe.forced_answers import Asking, Place, ask

    frac, adaptive = None, None
    if isinstance(settings, ForcedAnswer):
        frac, adaptive = settings.boundary_frac, settings.adaptive
    asking = Asking(settings.num_probes, settings.answer_tokens, settings.temperature, adaptive)
    size = settings.shard_rollouts or max(1, len(work.traces))
    shards = [
        [
            (trace, index)
            for trace in work.traces[start : start + size]
            for index in draw_boundaries(len(trace["boundaries"]), trace["seed"], frac)
        ]
        for start in range(0, len(work.traces), size)
    ]
    parts = [
        [
            Place([*_thought(trace)[: _positions(trace)[index]], *work.cue], trace["seed"], index)
            for trace, index in shard
        ]
        for shard in shards
    ]
    most = sum(map(len, parts)) * (adaptive.max_probes if adaptive else settings.num_probes)
    with (
        open_samplers(work.policy, work.compute.inference) as samplers,
        _advancing(work.facts, "answer", most) as advance,
    ):
        do = partial(ask, asking=asking, decode=work.renderer.decode)
        asked = dict(samplers.each(do, parts, lambda num_tokens: advance(1, num_tokens)))
    num_given = sum(part.num_prompt_tokens for part in asked.values())
    num_cached = sum(part.num_cached_prompt_tokens for part in asked.values())
    work.facts.count(cached_prompt_frac=num_cached / max(1, num_given))
    return [
        _probe_row(
            trace, index, settings.estimator, [a.text for a in here], [a.logprob for a in here]
        )
        for place, shard in enumerate(shards)
        for (trace, index), here in zip(shard, asked[place].answers, strict=True)
    ]


def draw_boundaries(num_boundaries: int, seed: int, boundary_frac: float | None) -> list[int]:
    """The first boundary, the last, and each of those between with chance `boundary_frac`; all
    where it is None.
    """
    last = num_boundaries - 1
    return [
        index
        for index in range(num_boundaries)
        if boundary_frac is None
        or index in (0, last)
        or derive_seed("boundary", seed, index) < boundary_frac * SEED_RANGE
    ]


def probe_by_critic(
    work: Work, rewards: Mapping[str, float], settings: Critic, seed: int
) -> list[Row]:
    """The success a critic expects at every boundary, learnt from the rewards of other problems."""
    from stages.engines.policy import load_policy
    from stages.engines.training.trainer import use_threads
    from stages.probe.critic import ValuedTrace, boundary_values

    use_threads()
    valued = [
        ValuedTrace(
            trace["problem_id"], _thought(trace), _positions(trace), rewards[trace["rollout_id"]]
        )
        for trace in work.traces
    ]
    model, pad_token = load_policy(work.policy), work.renderer.pad_token
    with _advancing(work.facts, "tok", sum(len(trace.tokens) for trace in valued)) as advance:
        values = boundary_values(
            model,
            valued,
            settings,
            seed,
            pad_token,
            work.compute.training.precision,
            lambda num_tokens: advance(num_tokens, num_tokens),
        )
    return [
        _probe_row(trace, index, settings.estimator, value=value)
        for trace, here in zip(work.traces, values, strict=True)
        for index, value in enumerate(here.tolist())
    ]


def read_rewards(scores: Path) -> dict[str, float]:
    """Reward of each rollout; NaN where its verifier failed."""
    data = read_table(scores, SCORES, ["rollout_id", "reward"]).to_pydict()
    return {
        rollout_id: float("nan") if reward is None else reward
        for rollout_id, reward in zip(data["rollout_id"], data["reward"], strict=True)
    }


def _thought(trace: Row) -> list[int]:
    """Prompt and thinking."""
    return [*trace["prompt_tokens"], *trace["completion_tokens"][: trace["num_thinking_tokens"]]]


def _positions(trace: Row) -> list[int]:
    """Boundaries as positions in `_thought`."""
    return [len(trace["prompt_tokens"]) + position for position in trace["boundaries"]]


@contextmanager
def _advancing(facts: RunFacts, unit: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Time the block as `probing` and count its tokens; what it yields is told units done and
    tokens gone through.
    """
    num_tokens = 0
    with facts.phase("probing"), Progress("probe", total, unit) as progress:

        def advance(amount: int, tokens: int) -> None:
            nonlocal num_tokens
            num_tokens += tokens
            progress.add(amount)
            progress.tokens(tokens)

        yield advance
    facts.count(num_tokens=num_tokens)


def _probe_row(
    trace: Row,
    index: int,
    estimator: str,
    answers: Sequence[str] = (),
    logprobs: Sequence[float] = (),
    value: float | None = None,
) -> Row:
    is_known = estimator in KNOWN_ANSWERS
    return {
        "rollout_id": trace["rollout_id"],
        "boundary_index": index,
        "position": trace["boundaries"][index],
        "estimator": estimator,
        "num_probes": len(answers),
        "answers": list(answers),
        "answer_logprobs": list(logprobs),
        "gold_logprob_nats": float(np.logaddexp.reduce(logprobs)) if is_known else None,
        "value": value,
    }


if __name__ == "__main__":
    command(main)
