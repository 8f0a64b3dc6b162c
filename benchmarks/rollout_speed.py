"""Rollout's tokens/s against a bare `LLM.generate`, in one process, on one engine.

Reads   policy, problems (train split); params.yaml: the rollout settings of one round.
Writes  a table on stdout; with --out the runs as JSON.
Method  `ours` is all that the stage does: `stages.rollout.sample` with shards, forced answers and
        bookkeeping, and the Parquet files. `bare` is what one would write by hand to get the same
        completions: `LLM.generate` up to the budget, and again for the answers that are still
        missing; nothing is kept. Only tokens that belong to a completion count: what the policy
        writes behind a full answer does not. `plain` is one `LLM.generate` without forced answers
        and without log-probabilities, every token counted: not to train on, but all that the engine
        gives. The loops take turns. Start-up and a first run of each are left out.
Claim   ours reaches at least 0.9 of bare.

Example: python -m benchmarks.rollout_speed --policy data/policies/r0 --repeats 5
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import measuring
from benchmarks.measuring import Spent, Turn
from benchmarks.rollout_rows import num_sampled
from stages import rollout
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

Loop = Callable[[], int]
"""One pass over all rollouts; its number of tokens."""
Turns = Mapping[str, Sequence[Turn[int]]]
"""Of each loop."""


class Job(NamedTuple):
    """The rollouts that every loop samples."""

    round_id: str
    work: Sequence[dict[str, Any]]
    answering: Answering
    settings: Rollout
    renderer: Renderer


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
        loops: dict[str, Loop] = {
            "ours": lambda: ours(sampler, job),
            "bare": lambda: bare(engine, job),
            "plain": lambda: plain(engine, job),
        }
        turns = measuring.take_turns(loops, repeats)
    print(table(turns, len(job.work)))
    if out is not None:
        write_json(out, {name: as_json(of_loop) for name, of_loop in turns.items()})


def read_job(policy: Path, problems: Path, round_id: str, everything: Params) -> Job:
    """One round's rollouts, as its stage plans them, on a policy of choice."""
    entry = everything.rounds[round_id]
    settings = everything.recipes[entry.recipe].rollout
    renderer = Renderer.of_policy(policy)
    drawn = rollout.draw_problems(read_problems(problems, split="train"), settings, entry.seed)
    work = list(rollout.plan(round_id, entry, settings, drawn, renderer))
    answering = Answering(renderer.cue_tokens(load_format(everything.task)), settings.answer_tokens)
    return Job(round_id, work, answering, settings, renderer)


def as_json(turns: Sequence[Turn[int]]) -> list[dict[str, float]]:
    """Tokens and seconds by name."""
    return [{"num_tokens": turn.result, **turn.spent._asdict()} for turn in turns]


def ours(sampler: Sampler, job: Job) -> int:
    """The stage's work from planned rows to the finished table."""
    with TemporaryDirectory() as folder:
        pool, unfinished = OneEngine(sampler), Path(folder)
        shards = rollout.sample(
            job.round_id, pool, job.work, job.answering, job.settings, job.renderer, unfinished
        )
        rows = list(merge_rows(shards, ROLLOUTS))
        write_table(Path(folder) / "rollouts.parquet", ROLLOUTS, rows)
    return num_sampled(rows)


def bare(engine: "LLM", job: Job) -> int:
    """The same completions by hand: think, then answer."""
    engine.reset_prefix_cache()  # as ours does, or each run would find the last one's prompts there
    requests = [
        Request(row["prompt_tokens"], job.settings.budget_tokens, row["seed"]) for row in job.work
    ]
    thought = generate(engine, requests, job.settings.temperature, logprobs=0)
    missing = unanswered(requests, thought, job.answering)
    answered = generate(engine, missing, job.settings.temperature, logprobs=0)
    num_tokens = sum(len(done.token_ids) for done in answered)
    for done in thought:
        num_tokens += min(len(done.token_ids), answer_end(list(done.token_ids), job.answering))
    return num_tokens


def plain(engine: "LLM", job: Job) -> int:
    """Whatever the policy writes, cut where thinking and answer have no more room."""
    engine.reset_prefix_cache()
    room = job.settings.budget_tokens + len(job.answering.cue_tokens) + job.answering.answer_tokens
    requests = [Request(row["prompt_tokens"], room, row["seed"]) for row in job.work]
    written = generate(engine, requests, job.settings.temperature, logprobs=None)
    return sum(len(done.token_ids) for done in written)


def unanswered(
    requests: Sequence[Request], thought: "Sequence[CompletionOutput]", answering: Answering
) -> Iterator[Request]:
    """Requests for what is still missing of the answers, behind a cue put there or the policy's."""
    for request, done in zip(requests, thought, strict=True):
        tokens = list(done.token_ids)
        is_cued = answering.cue_tokens[0] in tokens
        room = answer_end(tokens, answering) - len(tokens) if is_cued else answering.answer_tokens
        if done.finish_reason == "length" and room > 0:
            prefix = [*request.prompt_tokens, *tokens, *([] if is_cued else answering.cue_tokens)]
            yield Request(prefix, room, answer_seed(request.seed))


def answer_end(tokens: list[int], answering: Answering) -> int:
    """Where the room for the answer ends, `answer_tokens` behind the cue; without a cue the end."""
    if answering.cue_tokens[0] not in tokens:
        return len(tokens)
    cue_end = tokens.index(answering.cue_tokens[0]) + len(answering.cue_tokens)
    return cue_end + answering.answer_tokens


def generate(
    engine: "LLM", requests: Iterable[Request], temperature: float, logprobs: int | None
) -> "list[CompletionOutput]":
    """One `LLM.generate` over all requests."""
    from vllm import SamplingParams, TokensPrompt

    prompts, settings = [], []
    for request in requests:
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
    return [output.outputs[0] for output in engine.generate(prompts, settings, use_tqdm=False)]


def rates(turns: Sequence[Turn[int]]) -> list[float]:
    """Tokens per second by the clock on the wall, turn by turn."""
    return [turn.result / turn.spent.seconds for turn in turns]


def table(turns: Turns, num_rollouts: int) -> str:
    """Medians of each loop, and ours by the others, turn by turn."""
    lines = []
    for name, of_loop in turns.items():
        spent = Spent(*measuring.medians([turn.spent for turn in of_loop]))
        seconds = [f"{value:.2f}" for value in spent]
        speed = measuring.with_range(rates(of_loop), ",.0f")
        lines.append([name, f"{of_loop[-1].result:,}", *seconds, speed])
    text = [
        f"{num_rollouts} rollouts, {len(turns['ours'])} turns; medians, range in brackets",
        measuring.table(("loop", "tokens", "seconds", "processor s", "tokens/s"), lines),
    ]
    ratios = {}
    for name in ("bare", "plain"):
        ratios[name] = measuring.ratios(rates(turns["ours"]), rates(turns[name]))
        text.append(f"ours / {name}: {measuring.with_range(ratios[name], '.3f')}")
    kept = measuring.verdict(median(ratios["bare"]) >= CLAIMED_RATIO)
    return "\n".join([*text, f"claim ours / bare at least {CLAIMED_RATIO}: {kept}"])


if __name__ == "__main__":
    command(main)
