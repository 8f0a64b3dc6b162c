"""Ask, at every segment boundary, what the policy would answer if it had to answer now.

Reads   policy, problems, rollouts, segments; params.yaml recipe's `probe`.
Writes  probes, one row per boundary: the answers tried and their log-probabilities in nats. Judging them is the next
        stage's business.
Method  `set_likelihood` scores the whole set of correct answers in one forward pass per rollout; `forced_answer`
        samples answers. Both use the same cue at every boundary, the last included.

Example: python -m stages.probe --round-id i1 --policy data/policies/r0 --problems data/problems.parquet \
         --rollouts data/rounds/i1/rollouts.parquet --segments data/rounds/i1/segments.parquet \
         --probes data/rounds/i1/probes.parquet
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from stages.contracts import params, tables
from stages.contracts.errors import command
from stages.contracts.facts import RunFacts
from stages.contracts.progress import Progress
from stages.contracts.render import Renderer
from stages.engines.device import exclusive_device
from stages.pure.seeds import derive_seed
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems
from stages.tasks.sources import load_source
from stages.tasks.task import Problem, Source

COLUMNS = ("rollout_id", "problem_id", "prompt_tokens", "completion_tokens", "num_thinking_tokens", "seed")
Row = dict[str, Any]


def main(
    round_id: str,
    policy: Path,
    problems: Path,
    rollouts: Path,
    segments: Path,
    probes: Path,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Probe the rollouts of one round."""
    everything = params.load(params_file)
    settings = everything.recipes[everything.rounds[round_id].recipe].probe
    facts = RunFacts("probe")
    renderer = Renderer.of_policy(policy)
    cue = renderer.encode(load_format(everything.task).cue)
    by_id = {problem.problem_id: problem for problem in read_problems(problems, split="train")}
    boundaries = find_boundaries(tables.read(segments, tables.SEGMENTS))
    rows = tables.read(rollouts, tables.ROLLOUTS, COLUMNS).to_pylist()
    asked = [by_id[row["problem_id"]] for row in rows]
    traces = [{**row, "boundaries": boundaries.get(row["rollout_id"], [0])} for row in rows]

    with exclusive_device("probe"):
        if isinstance(settings, params.SetLikelihood):
            source = load_source(everything.task)
            found = probe_solutions(policy, traces, asked, source, cue, renderer, settings, facts)
        else:
            found = probe_by_sampling(policy, traces, cue, renderer, settings, facts)

    tables.write(probes, tables.PROBES, found)
    facts.count(num_probes=sum(row["num_probes"] for row in found))
    facts.write(probes)


def find_boundaries(segments: pa.Table) -> dict[str, list[int]]:
    """Boundaries of each rollout's thinking: where its first segment starts and where each one ends."""
    boundaries: dict[str, list[int]] = {}
    for row in segments.select(["rollout_id", "kind", "end_token"]).to_pylist():
        line = boundaries.setdefault(row["rollout_id"], [0])
        if row["kind"] != "answer":
            line.append(row["end_token"])
    return boundaries


def probe_solutions(
    policy: Path,
    traces: Sequence[Row],
    problems: Sequence[Problem],
    source: Source,
    cue: list[int],
    renderer: Renderer,
    settings: params.SetLikelihood,
    facts: RunFacts,
) -> list[Row]:
    """Probability of every correct answer at every boundary; success there is their sum."""
    from stages.engines.likelihood import ProbedTrace, answer_logprobs
    from stages.engines.policy import load_policy
    from stages.engines.trainer import use_threads

    use_threads()
    model = load_policy(policy)
    solutions = {problem.problem_id: source.solutions(problem) for problem in problems}
    probed = [
        ProbedTrace(
            prefix_tokens=[*trace["prompt_tokens"], *trace["completion_tokens"][: trace["num_thinking_tokens"]]],
            boundaries=[len(trace["prompt_tokens"]) + position for position in trace["boundaries"]],
            answers=[[*cue, *renderer.encode(text), renderer.eos_token] for text in solutions[problem.problem_id]],
            num_cue_tokens=len(cue),
        )
        for trace, problem in zip(traces, problems, strict=True)
    ]
    with facts.phase("probing"), Progress("probe", sum(p.num_tokens for p in probed), unit="tok") as progress:

        def advance(num_tokens: int) -> None:
            progress.add(num_tokens)
            progress.tokens(num_tokens)

        logprobs = answer_logprobs(model, probed, settings.micro_batch_tokens, renderer.pad_token, advance)
    return [
        row
        for trace, problem, values in zip(traces, problems, logprobs, strict=True)
        for row in _solution_rows(trace, solutions[problem.problem_id], values)
    ]


def probe_by_sampling(
    policy: Path,
    traces: Sequence[Row],
    cue: list[int],
    renderer: Renderer,
    settings: params.ForcedAnswer,
    facts: RunFacts,
) -> list[Row]:
    """Answers sampled at every boundary, in prefix order."""
    from stages.engines.sampler import Request
    from stages.engines.vllm_sampler import VllmSampler

    sampler = VllmSampler(policy)
    places = [(trace, index) for trace in traces for index in range(len(trace["boundaries"]))]
    requests = [
        Request(
            [*trace["prompt_tokens"], *trace["completion_tokens"][: trace["boundaries"][index]], *cue],
            settings.answer_tokens,
            derive_seed("probe", trace["seed"], index, probe),
        )
        for trace, index in places
        for probe in range(settings.num_probes)
    ]
    with facts.phase("probing"), Progress("probe", len(requests), unit="answer") as progress:

        def advance(num_tokens: int) -> None:
            progress.add(1)
            progress.tokens(num_tokens)

        sampled = sampler.sample(requests, settings.temperature, advance)
    rows = []
    for place, (trace, index) in enumerate(places):
        here = sampled[place * settings.num_probes : (place + 1) * settings.num_probes]
        texts = [renderer.decode(completion.tokens) for completion in here]
        logprobs = [float(np.sum(completion.logprobs)) for completion in here]
        rows.append(_probe_row(trace, index, settings.estimator, texts, logprobs, None))
    return rows


def _solution_rows(trace: Row, solutions: list[str], logprobs: np.ndarray) -> Iterator[Row]:
    for index, values in enumerate(logprobs):
        gold = float(np.logaddexp.reduce(values))
        yield _probe_row(trace, index, "set_likelihood", solutions, values.tolist(), gold)


def _probe_row(
    trace: Mapping[str, Any],
    index: int,
    estimator: str,
    answers: list[str],
    logprobs: list[float],
    gold: float | None,
) -> Row:
    return {
        "rollout_id": trace["rollout_id"],
        "boundary_index": index,
        "position": trace["boundaries"][index],
        "estimator": estimator,
        "num_probes": len(answers),
        "answers": answers,
        "answer_logprobs": logprobs,
        "gold_logprob_nats": gold,
    }


if __name__ == "__main__":
    command(main)
