"""Rollout's tokens/s against a bare `LLM.generate`, in one process, on one engine.

Reads   policy, problems (train split); params.yaml: the rollout settings of one round.
Writes  a table on stdout; with --out the runs as JSON.
Method  `ours` is all that the stage does: `stages.rollout.sample` with shards, forced answers and
        bookkeeping, and the Parquet files. `bare` is what one would write by hand to get the same
        completions: `LLM.generate` up to the budget, and again for the answers that are still
        missing; nothing is kept. Only tokens that belong to a completion count: what the policy
        writes behind a full answer does not. `plain` is one `LLM.generate` without forced answers
        and without log-probabilities, every token counted: not to train on, but all that the engine
        gives. The loops take turns, so that a slow moment of the machine hits all. Start-up and a
        first run of each are left out.
Claim   ours reaches at least 0.9 of bare.

Example: python -m benchmarks.rollout_speed --policy data/policies/r0 --repeats 5
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from stages import rollout
from stages.contracts.origin import Origin
from stages.contracts.params.recipes.rollout import Rollout
from stages.contracts.params.whole import Params, load
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import merge_rows
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.engines.device import exclusive_device
from stages.engines.pools.here import OneEngine
from stages.engines.sampler import Request, Sampler
from stages.engines.turns import Answering, answer_seed
from stages.running.errors import command
from stages.running.publish import write_json
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.outputs import CompletionOutput

CLAIMED_RATIO = 0.9


class Run(NamedTuple):
    """One pass over all rollouts.

    `processor_seconds` are those of the whole process, all its threads.
    """

    num_tokens: int
    seconds: float
    processor_seconds: float

    @property
    def tokens_per_second(self) -> float:
        """By the clock on the wall."""
        return self.num_tokens / self.seconds


class Job(NamedTuple):
    """The rollouts that every loop samples."""

    round_id: str
    work: Sequence[dict[str, Any]]
    answering: Answering
    settings: Rollout


def main(
    policy: Path = Path("data/policies/r0"),
    problems: Path = Path("data/problems.parquet"),
    round_id: str = "i1",
    repeats: int = 5,
    out: Path | None = None,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Measure each loop `repeats` times."""
    job = read_job(policy, problems, round_id, load(params_file))
    with exclusive_device("rollout_speed"):
        from stages.engines.samplers.vllm import VllmSampler

        sampler = VllmSampler(policy)
        engine = sampler._model
        loops = {
            "ours": lambda: ours(sampler, job),
            "bare": lambda: bare(engine, job),
            "plain": lambda: plain(engine, job),
        }
        runs = take_turns(loops, repeats)
    print(table(runs, len(job.work)))
    if out is not None:
        write_json(out, {name: [run._asdict() for run in found] for name, found in runs.items()})


def read_job(policy: Path, problems: Path, round_id: str, everything: Params) -> Job:
    """One round's rollouts, as its stage plans them, on a policy of choice."""
    entry = everything.rounds[round_id]
    settings = everything.recipes[entry.recipe].rollout
    renderer = Renderer.of_policy(policy)
    asked = rollout.draw_problems(read_problems(problems, split="train"), settings, entry.seed)
    work = list(rollout.plan(round_id, entry, settings, asked, renderer))
    answering = Answering(renderer.cue_tokens(load_format(everything.task)), settings.answer_tokens)
    return Job(round_id, work, answering, settings)


def take_turns(loops: Mapping[str, Callable[[], int]], repeats: int) -> dict[str, list[Run]]:
    """Time the loops in turn; each gives its number of tokens. The first turn warms up and is
    dropped.
    """
    runs: dict[str, list[Run]] = {name: [] for name in loops}
    for _ in range(repeats + 1):
        for name, loop in loops.items():
            begin, processor_begin = time.perf_counter(), time.process_time()
            num_tokens = loop()
            runs[name].append(
                Run(num_tokens, time.perf_counter() - begin, time.process_time() - processor_begin)
            )
    return {name: found[1:] for name, found in runs.items()}


def ours(sampler: Sampler, job: Job) -> int:
    """The stage's work from planned rows to the finished table."""
    with TemporaryDirectory() as folder:
        shards = rollout.sample(
            job.round_id, OneEngine(sampler), job.work, job.answering, job.settings, Path(folder)
        )
        rows = list(merge_rows(shards, ROLLOUTS))
        write_table(Path(folder) / "rollouts.parquet", ROLLOUTS, rows)
    return sum(row["token_origin"].count(Origin.SAMPLED) for row in rows)


def bare(engine: "LLM", job: Job) -> int:
    """The same completions by hand: think, then answer."""
    engine.reset_prefix_cache()  # as ours does, or each run would find the last one's prompts there
    asked = [
        Request(row["prompt_tokens"], job.settings.budget_tokens, row["seed"]) for row in job.work
    ]
    thought = generate(engine, asked, job.settings.temperature, logprobs=0)
    missing = unanswered(asked, thought, job.answering)
    answered = generate(engine, missing, job.settings.temperature, logprobs=0)
    num_thought = sum(
        min(len(done.token_ids), answer_end(list(done.token_ids), job.answering))
        for done in thought
    )
    return num_thought + sum(len(done.token_ids) for done in answered)


def plain(engine: "LLM", job: Job) -> int:
    """Whatever the policy writes, cut where thinking and answer have no more room."""
    engine.reset_prefix_cache()
    room = job.settings.budget_tokens + len(job.answering.cue_tokens) + job.answering.answer_tokens
    asked = [Request(row["prompt_tokens"], room, row["seed"]) for row in job.work]
    return sum(
        len(done.token_ids)
        for done in generate(engine, asked, job.settings.temperature, logprobs=None)
    )


def unanswered(
    asked: Sequence[Request], thought: "Sequence[CompletionOutput]", answering: Answering
) -> Iterator[Request]:
    """Requests for what is still missing of the answers: after a cue put there, or after the
    policy's own.
    """
    for request, done in zip(asked, thought, strict=True):
        tokens = list(done.token_ids)
        is_cued = answering.cue_tokens[0] in tokens
        room = answer_end(tokens, answering) - len(tokens) if is_cued else answering.answer_tokens
        if done.finish_reason == "length" and room > 0:
            prefix = [*request.prompt_tokens, *tokens, *([] if is_cued else answering.cue_tokens)]
            yield Request(prefix, room, answer_seed(request.seed))


def answer_end(tokens: list[int], answering: Answering) -> int:
    """Where the room for the answer ends, `answer_tokens` behind the cue; the end of `tokens` where
    there is no cue.
    """
    if answering.cue_tokens[0] not in tokens:
        return len(tokens)
    return (
        tokens.index(answering.cue_tokens[0]) + len(answering.cue_tokens) + answering.answer_tokens
    )


def generate(
    engine: "LLM", asked: Iterable[Request], temperature: float, logprobs: int | None
) -> "list[CompletionOutput]":
    """One `LLM.generate` over all requests."""
    from vllm import SamplingParams, TokensPrompt

    prompts, settings = [], []
    for request in asked:
        prompts.append(TokensPrompt(prompt_token_ids=request.prompt_tokens))
        settings.append(
            SamplingParams(
                temperature=temperature,
                max_tokens=request.max_tokens,
                seed=request.seed,
                logprobs=logprobs,
                detokenize=False,
            )
        )
    return [found.outputs[0] for found in engine.generate(prompts, settings, use_tqdm=False)]


def table(runs: Mapping[str, Sequence[Run]], num_rollouts: int) -> str:
    """Medians of each loop, and ours by the others, turn by turn."""
    lines = [
        f"{num_rollouts} rollouts, {len(runs['ours'])} runs of each loop in turn; medians, range in brackets"
    ]
    lines.append(f"{'loop':10}{'tokens':>9}{'seconds':>9}{'processor s':>13}{'tokens/s':>10}")
    for name, found in runs.items():
        rates = [run.tokens_per_second for run in found]
        lines.append(
            f"{name:10}{found[-1].num_tokens:9,}{median(run.seconds for run in found):9.2f}"
            f"{median(run.processor_seconds for run in found):13.2f}{median(rates):10,.0f}"
            f"  [{min(rates):,.0f} … {max(rates):,.0f}]"
        )
    for other in ("bare", "plain"):
        pairs = [
            a.tokens_per_second / b.tokens_per_second
            for a, b in zip(runs["ours"], runs[other], strict=True)
        ]
        lines.append(
            f"ours / {other}: {ratio(runs, other):.3f}  [{min(pairs):.3f} … {max(pairs):.3f}]"
        )
    verdict = "holds" if ratio(runs, "bare") >= CLAIMED_RATIO else "DOES NOT HOLD"
    lines.append(f"claim ours / bare at least {CLAIMED_RATIO}: {verdict}")
    return "\n".join(lines)


def ratio(runs: Mapping[str, Sequence[Run]], other: str) -> float:
    """Median tokens/s of ours by that of another loop."""
    return median(run.tokens_per_second for run in runs["ours"]) / median(
        run.tokens_per_second for run in runs[other]
    )


if __name__ == "__main__":
    command(main)
