"""Rollout's tokens/s against a bare `LLM.generate`, in one process, on one engine.

Reads   policy, problems (train split); params.yaml: the rollout settings of one round.
Writes  a table on stdout; with --out the runs as JSON.
Method  `ours` is what the stage times: `stages.rollout.sample` with its shards, Parquet files, forced answers and
        bookkeeping. `bare` is what one would write by hand: `LLM.generate` for all prompts at once, and again for the
        answers of who has not ended; requests, seeds and log-probabilities are the same, nothing is kept. The two take
        turns, so that a slow moment of the machine hits both. Start-up and a first run of each are left out.
Claim   ours reaches at least 0.9 of bare.

Example: python -m benchmarks.rollout_speed --policy data/policies/r0 --repeats 5
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from stages import rollout
from stages.contracts import params, tables
from stages.contracts.errors import command
from stages.contracts.publish import write_json
from stages.contracts.render import Renderer
from stages.engines.device import exclusive_device
from stages.engines.sampler import Answering, answer_seed, find
from stages.tasks.formats import load_format
from stages.tasks.rows import read_problems

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.outputs import CompletionOutput

CLAIMED_RATIO = 0.9

Planned = Mapping[str, Any]


class Run(NamedTuple):
    """One pass over all rollouts. `processor_seconds` is the whole process's, all threads."""

    num_sampled_tokens: int
    seconds: float
    processor_seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Sampled tokens by the clock on the wall."""
        return self.num_sampled_tokens / self.seconds


class Bench(NamedTuple):
    """What both loops work on."""

    round_id: str
    work: list[dict[str, Any]]
    answering: Answering
    settings: params.Rollout


def main(
    policy: Path = Path("data/policies/r0"),
    problems: Path = Path("data/problems.parquet"),
    round_id: str = "i1",
    repeats: int = 5,
    out: Path | None = None,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Measure both loops in turn, `repeats` times each."""
    bench = prepare(policy, problems, round_id, params.load(params_file))
    with exclusive_device("rollout_speed"):
        from stages.engines.vllm_sampler import VllmSampler

        sampler = VllmSampler(policy)
        loops = {"ours": lambda: ours(sampler, bench), "bare": lambda: bare(sampler._model, bench)}
        runs = take_turns(loops, repeats)
    print(table(runs, len(bench.work)))
    if out is not None:
        write_json(out, {"ratio": ratio(runs), "runs": {name: [run._asdict() for run in runs[name]] for name in runs}})


def prepare(policy: Path, problems: Path, round_id: str, everything: params.Params) -> Bench:
    """The work of one round's rollout, as the stage plans it."""
    entry = everything.rounds[round_id]
    settings = everything.recipes[entry.recipe].rollout
    renderer = Renderer.of_policy(policy)
    asked = rollout.draw_problems(read_problems(problems, split="train"), settings, entry.seed)
    answering = Answering(renderer.encode(load_format(everything.task).cue), settings.answer_tokens)
    return Bench(round_id, list(rollout.plan(round_id, entry, settings, asked, renderer)), answering, settings)


def take_turns(loops: Mapping[str, Callable[[], int]], repeats: int) -> dict[str, list[Run]]:
    """Run the loops in turn; each gives its number of sampled tokens. The first round warms up and is dropped."""
    runs: dict[str, list[Run]] = {name: [] for name in loops}
    for _ in range(repeats + 1):
        for name, loop in loops.items():
            begin, processor_begin = time.perf_counter(), time.process_time()
            num_tokens = loop()
            runs[name].append(Run(num_tokens, time.perf_counter() - begin, time.process_time() - processor_begin))
    return {name: found[1:] for name, found in runs.items()}


def ours(sampler: rollout.Sampler, bench: Bench) -> int:
    """The stage's own sampling, from planned rows to the finished table."""
    with TemporaryDirectory() as folder:
        rows = rollout.sample(bench.round_id, sampler, bench.work, bench.answering, bench.settings, Path(folder))
        tables.write(Path(folder) / "rollouts.parquet", tables.ROLLOUTS, rows)
    return sum(len(row["completion_tokens"]) - (row["forced_end"] - row["forced_start"]) for row in rows)


def bare(engine: "LLM", bench: Bench) -> int:
    """The same samples by hand: think, then answer."""
    engine.reset_prefix_cache()
    thought = generate(
        engine, ((row["prompt_tokens"], bench.settings.budget_tokens, row["seed"]) for row in bench.work), bench
    )
    answered = generate(engine, unanswered(bench, thought), bench)
    return sum(len(output.token_ids) for output in [*thought, *answered])


def unanswered(bench: Bench, thought: "Sequence[CompletionOutput]") -> Iterator[tuple[list[int], int, int]]:
    """Prompt, room and seed of each answer still to come: after a cue put there, or after the policy's own."""
    cue_tokens, room = bench.answering.cue_tokens, bench.answering.answer_tokens
    for row, output in zip(bench.work, thought, strict=True):
        if output.finish_reason == "stop":
            continue
        tokens = list(output.token_ids)
        cue = find(tokens, cue_tokens)
        num_answered = 0 if cue is None else len(tokens) - cue - len(cue_tokens)
        prefix = [*row["prompt_tokens"], *tokens, *(cue_tokens if cue is None else [])]
        yield prefix, max(1, room - num_answered), answer_seed(row["seed"])


def generate(engine: "LLM", asked: Iterator[tuple[list[int], int, int]], bench: Bench) -> "list[CompletionOutput]":
    """One `LLM.generate` over (prompt, max_tokens, seed)."""
    from vllm import SamplingParams, TokensPrompt

    prompts, settings = [], []
    for prompt_tokens, max_tokens, seed in asked:
        prompts.append(TokensPrompt(prompt_token_ids=prompt_tokens))
        settings.append(
            SamplingParams(
                temperature=bench.settings.temperature, max_tokens=max_tokens, seed=seed, logprobs=0, detokenize=False
            )
        )
    return [request.outputs[0] for request in engine.generate(prompts, settings, use_tqdm=False)]


def ratio(runs: Mapping[str, Sequence[Run]]) -> float:
    """Median tokens/s of ours by that of bare."""
    ours, bare = (statistics.median(run.tokens_per_second for run in runs[name]) for name in ("ours", "bare"))
    return ours / bare


def table(runs: Mapping[str, Sequence[Run]], num_rollouts: int) -> str:
    """Medians by loop, and their ratio."""
    lines = [f"{num_rollouts} rollouts, {len(runs['ours'])} runs of each loop in turn; medians, range in brackets"]
    lines.append(f"{'loop':6}{'sampled tokens':>16}{'seconds':>10}{'processor s':>13}{'tokens/s':>10}")
    for name, found in runs.items():
        rates = [run.tokens_per_second for run in found]
        seconds, processor = (statistics.median(values) for values in list(zip(*found, strict=True))[1:])
        lines.append(
            f"{name:6}{found[0].num_sampled_tokens:16,}{seconds:10.2f}{processor:13.2f}"
            f"{statistics.median(rates):10,.0f}  [{min(rates):,.0f} … {max(rates):,.0f}]"
        )
    pairs = [a.tokens_per_second / b.tokens_per_second for a, b in zip(runs["ours"], runs["bare"], strict=True)]
    verdict = "reached" if ratio(runs) >= CLAIMED_RATIO else "MISSED"
    lines.append(
        f"ours / bare: {ratio(runs):.3f}  [{min(pairs):.3f} … {max(pairs):.3f}]; claim {CLAIMED_RATIO}: {verdict}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    command(main)
