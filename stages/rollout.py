"""Sample a group of completions for each of a round's problems.

Reads   policy, problems (train split), the format of their text; params.yaml `compute.inference`,
        `rounds.<round>` and its recipe's `rollout`.
Writes  rollouts, one row per completion: token ids and their text, where each comes from, the
        sampler's log-probabilities in nats.
Method  Problems and seeds are drawn from the round's seed. Thinking is cut at `budget_tokens`;
        where there is no answer by then, the cue is put there and one is sampled. Work is cut into
        shards, each sampled by itself and kept, so a killed run goes on after its last whole shard,
        to the same bytes.

Example: python -m stages.rollout --round-id i1 --policy data/policies/r0 \
         --problems data/problems.parquet --text-format data/format.json \
         --rollouts data/rounds/i1/rollouts.parquet --code data/code/rollout.json
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from stages.contracts.format import read_format
from stages.contracts.params.base import read_section
from stages.contracts.params.compute.inference import Inference
from stages.contracts.params.recipes.rollout import Rollout
from stages.contracts.params.round import Round
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import merge_rows, read_batches
from stages.contracts.storage.writing import table_writer, write_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.engines import shards
from stages.engines.device import exclusive_device
from stages.engines.inference import open_samplers
from stages.engines.pools.pool import Pool
from stages.engines.positions import max_positions, need_positions
from stages.engines.sampler import Request, Sampler
from stages.engines.turns import Answering, Trace, think_then_answer
from stages.pure.seeds import derive_seed
from stages.running.errors import BadInput, command
from stages.running.publish import RunFacts
from stages.running.scratch import scratch
from stages.tasks.rows import read_problems
from stages.tasks.task import Problem


def main(
    round_id: str,
    policy: Path,
    problems: Path,
    text_format: Path,
    rollouts: Path,
    code: Path,
    params_file: Path = Path("params.yaml"),
    scratch_root: Path = Path("data/.scratch"),
) -> None:
    """Sample the rollouts of one round."""
    entry: Round = read_section(params_file, f"rounds.{round_id}", Round)
    settings: Rollout = read_section(params_file, f"recipes.{entry.recipe}.rollout", Rollout)
    inference = read_section(params_file, "compute.inference", Inference)
    facts = RunFacts("rollout")
    renderer = Renderer.of_policy(policy)
    answering = Answering(renderer.cue_tokens(read_format(text_format)), settings.answer_tokens)
    drawn = draw_problems(read_problems(problems, split="train"), settings, entry.seed)
    work = list(plan(round_id, entry, settings, drawn, renderer))
    longest = max(len(planned["prompt_tokens"]) for planned in work) + settings.budget_tokens
    needed = longest + len(answering.cue_tokens) + settings.answer_tokens
    need_positions(f"rounds.{round_id}.parent", max_positions(policy), needed)

    with (
        exclusive_device("rollout"),
        scratch(
            scratch_root,
            f"rollout-{round_id}",
            [entry.model_dump(), settings.model_dump()],
            [code, policy, problems],
        ) as unfinished,
        open_samplers(policy, inference) as samplers,
    ):
        with facts.phase("sampling"):
            kept = sample(round_id, samplers, work, answering, settings, renderer, unfinished)
        with table_writer(rollouts, ROLLOUTS) as to_rollouts:
            to_rollouts.add(merge_rows(kept, ROLLOUTS))
    facts.count(num_rollouts=len(work), num_tokens=count_tokens(rollouts))
    facts.write(rollouts)


def draw_problems(problems: Sequence[Problem], settings: Rollout, seed: int) -> list[Problem]:
    """`num_problems` of the wanted difficulties, without replacement.

    Raises:
        BadInput: there are fewer such problems than the recipe asks for.
    """
    eligible = [p for p in problems if p.difficulty in settings.difficulties]
    if len(eligible) < settings.num_problems:
        raise BadInput(
            f"rollout.num_problems asks for {settings.num_problems} problems of difficulties "
            f"{settings.difficulties}, but problems has {len(eligible)} in its train split; ask "
            "for fewer, or raise task.tiers num_train"
        )
    rng = np.random.default_rng(derive_seed("problems", seed))
    return [
        eligible[index] for index in rng.choice(len(eligible), settings.num_problems, replace=False)
    ]


def plan(
    round_id: str,
    entry: Round,
    settings: Rollout,
    problems: Sequence[Problem],
    renderer: Renderer,
) -> Iterator[dict[str, Any]]:
    """What is known of each rollout before it is sampled."""
    for problem in problems:
        prompt_tokens = renderer.prompt_tokens(problem.prompt)
        prompt_text = renderer.text(prompt_tokens)
        for index in range(settings.group_size):
            yield {
                "rollout_id": f"{round_id}/{problem.problem_id}/{index}",
                "problem_id": problem.problem_id,
                "sample_index": index,
                "policy_id": entry.parent,
                "prompt_tokens": prompt_tokens,
                "prompt_text": prompt_text,
                "seed": derive_seed("rollout", entry.seed, problem.problem_id, index),
                "temperature": settings.temperature,
            }


def sample(
    round_id: str,
    samplers: Pool[Sampler],
    work: Sequence[dict[str, Any]],
    answering: Answering,
    settings: Rollout,
    renderer: Renderer,
    unfinished: Path,
) -> list[Path]:
    """Sample the shards that are not yet in `unfinished`; all shards, a table each."""
    kept = shards.cut(work, settings.shard_rollouts, unfinished)
    think = partial(think_then_answer, answering=answering, temperature=settings.temperature)
    ask = partial(_request, budget_tokens=settings.budget_tokens)
    for shard, planned, traces in shards.missing(
        kept, samplers, think, ask, f"rollout {round_id}", "rollout", {"": ROLLOUTS}
    ):
        write_table(shard, ROLLOUTS, map(partial(_row, renderer), planned, traces))
    return [*kept]


def _request(planned: Mapping[str, Any], budget_tokens: int) -> Request:
    return Request(planned["prompt_tokens"], budget_tokens, planned["seed"])


def count_tokens(rollouts: Path) -> int:
    """Completion tokens of a table of rollouts."""
    batches = read_batches(rollouts, ROLLOUTS, ["completion_tokens"])
    return sum(
        pc.sum(pc.list_value_length(batch["completion_tokens"])).as_py() or 0 for batch in batches
    )


def _row(renderer: Renderer, planned: Mapping[str, Any], trace: Trace) -> dict[str, Any]:
    return {
        **planned,
        "completion_tokens": trace.tokens,
        "completion_text": renderer.text(trace.tokens),
        "sampler_logprobs": trace.logprobs,
        "token_origin": trace.origin,
        "num_thinking_tokens": trace.num_thinking_tokens,
        "finish_reason": trace.finish_reason,
    }


if __name__ == "__main__":
    command(main, writes=("rollouts",))
