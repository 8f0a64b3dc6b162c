"""Our side of `benchmarks.trl.speed`: one stage in its own process, a round at each request.

Reads   a policy, prompts, settings in --job; for `update` and `losses` the rollouts that `rollout`
        left.
Writes  rollouts beside the job; one JSON object a line on stdout.
Method  `rollout` is `stages.rollout.sample` and its table, on vLLM in workers of a Ray cluster, one
        for each thread (`compute.inference`). A stage's workers end with it; here they stay, and
        wait where a round begins, so that their start is apart. `update` is all from that table to
        the next policy's folder: the policy loaded, advantages, `stages.update.training.train`.
        `losses` takes the same steps in the table's own order.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

import numpy as np

from benchmarks.measuring import clocks, since
from benchmarks.rollout_rows import example_of, num_sampled, plan_rows
from benchmarks.trl.their_rounds import column, reward
from stages.contracts.params.compute.inference import RayCluster, VllmEngine
from stages.contracts.params.recipes.recipe import Recipe
from stages.contracts.render import Renderer
from stages.contracts.storage.reading import merge_rows, read_table
from stages.contracts.storage.writing import write_table
from stages.contracts.tables.rollouts import ROLLOUTS
from stages.engines.inference import open_samplers
from stages.engines.pools.pool import Pool, WorkFunction
from stages.engines.sampler import Request, Sampler
from stages.engines.turns import Answering, think_then_answer
from stages.pure.credit import group_normalized
from stages.running.errors import MachineFailure, command
from stages.running.publish import read_json

if TYPE_CHECKING:
    from stages.engines.training.example import Example
    from stages.engines.training.policy_loss import PolicyLoss

SEED = 1
Turn = Callable[[], tuple[int, float]]
"""Runs a round; its tokens, and processor seconds of other processes."""


def main(job: Path, stage: Literal["rollout", "update", "losses"]) -> None:
    """Run a stage as the parent asks for it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # progress bars and libraries print
    settings, folder = read_json(job), job.parent
    if stage == "losses":
        print(json.dumps(losses_of(settings, folder)), file=answers, flush=True)
        return
    if stage == "update":
        take_turns(stage, updates_of(settings, folder), answers)
        return
    where = RayCluster(kind="ray", address="local", num_workers=settings["threads"])
    os.environ.update(OMP_NUM_THREADS="1", KNOWHOW_THREADS="1")
    engine = VllmEngine(engine="vllm", where=where)
    with open_samplers(folder / "policy", engine) as samplers:
        take_turns(stage, rollouts_of(settings, folder, samplers), answers)


def take_turns(stage: str, turn: Turn, answers: TextIO) -> None:
    """Say that all is ready, then run a round for each line that comes in."""
    print(json.dumps({"ready": True}), file=answers, flush=True)
    while sys.stdin.readline():
        begin = clocks()
        num_tokens, elsewhere = turn()
        seconds, processor_seconds = since(begin)
        line = {stage: (seconds, processor_seconds + elsewhere), "num_tokens": num_tokens}
        print(json.dumps(line), file=answers, flush=True)


class Timed(NamedTuple):
    """What a worker made of a part, and the processor seconds that took."""

    result: Any
    processor_seconds: float


class Gate(NamedTuple):
    """Files by which workers say that they wait for a round, and learn that it begins."""

    folder: Path

    def wait(self, number: int, place: int) -> None:
        """In a worker, before part `place` of a round."""
        (self.folder / f"{number}.{place}.ready").touch()
        while not (self.folder / f"{number}.go").exists():
            time.sleep(0.005)

    def open(self, number: int) -> None:
        """Let the round begin."""
        (self.folder / f"{number}.go").touch()

    def num_waiting(self, number: int) -> int:
        """Workers that stand before a part of a round."""
        return len(list(self.folder.glob(f"{number}.*.ready")))


def work_on(
    sampler: Sampler, item: tuple[Any, ...], *, on_tokens: Callable[[int], None], gate: Gate
) -> Timed:
    """What a worker does with an item: wait for its round, then the stage's own work."""
    number, place, work, requests = item
    gate.wait(number, place)
    begin = time.process_time()
    return Timed(work(sampler, requests, on_tokens=on_tokens), time.process_time() - begin)


class KeptPool:
    """A pool whose workers stay: the same parts in every round."""

    def __init__(
        self,
        pool: Pool[Sampler],
        work: WorkFunction[Any, Any, Any],
        items: Sequence[Any],
        num_rounds: int,
    ) -> None:
        self._folder = TemporaryDirectory()
        self._gate, self._num_parts, self._number = Gate(Path(self._folder.name)), len(items), 0
        self._done: queue.Queue[tuple[int, Timed]] = queue.Queue()
        self.processor_seconds = 0.0
        places = product(range(num_rounds), range(len(items)))
        everything = [(number, place, work, items[place]) for number, place in places]

        def drain() -> None:
            for done in pool.each(
                partial(work_on, gate=self._gate), everything, lambda amount: None
            ):
                self._done.put(done)

        thread = threading.Thread(target=drain, daemon=True)
        thread.start()
        while self._gate.num_waiting(0) < len(items):
            if not thread.is_alive():
                raise MachineFailure(
                    "the workers ended before their first round; what they said stands above"
                )
            time.sleep(0.01)

    def each(
        self, work: Any, items: Iterable[Any], on_tokens: Callable[[int], None]
    ) -> Iterator[tuple[int, Any]]:
        """See `Pool.each`: the next round of the parts it has had from the start."""
        self._gate.open(self._number)
        self.processor_seconds = 0.0
        for _ in range(self._num_parts):
            place, (result, processor_seconds) = self._done.get(timeout=600)
            self.processor_seconds += processor_seconds
            yield place % self._num_parts, result
        self._number += 1


def rollouts_of(job: Mapping[str, Any], folder: Path, samplers: Pool[Sampler]) -> Turn:
    """Start the engines; the turn samples a round."""
    from stages import rollout

    renderer = Renderer.of_policy(folder / "policy")
    settings = Recipe.model_validate(job["recipe"]).rollout
    answering = Answering(job["cue_tokens"], settings.answer_tokens)
    prompts = [renderer.encode(prompt) for prompt in job["prompts"]]
    work = list(plan_rows("b", prompts, settings))
    requests = [Request(row["prompt_tokens"], settings.budget_tokens, row["seed"]) for row in work]
    size = settings.shard_rollouts
    items = [requests[start : start + size] for start in range(0, len(requests), size)]
    think = partial(think_then_answer, answering=answering, temperature=settings.temperature)
    pool = KeptPool(samplers, think, items, job["num_rounds"])

    def turn() -> tuple[int, float]:
        with TemporaryDirectory() as unfinished:
            where = Path(unfinished)
            shards = rollout.sample("b", pool, work, answering, settings, renderer, where)
            rows = list(merge_rows(shards, ROLLOUTS))
            write_table(folder / "rollouts.parquet", ROLLOUTS, rows)
        return num_sampled(rows), pool.processor_seconds

    return turn


def updates_of(job: Mapping[str, Any], folder: Path) -> Turn:
    """The turn trains on the rollouts that lie there."""
    from stages.engines.computing import use_threads
    from stages.engines.policy import load_policy, save_policy
    from stages.engines.training.trainer import Trainer
    from stages.update.training import train

    use_threads()
    recipe = Recipe.model_validate(job["recipe"])

    def turn() -> tuple[int, float]:
        with TemporaryDirectory() as unfinished:
            trainer = Trainer(load_policy(folder / "policy"), recipe.update.optimizer)
            loss, examples = loss_of(job, recipe), examples_of(folder)
            train(trainer, loss, examples, recipe.update, SEED, Path(unfinished))
            save_policy(trainer.model, Renderer.of_policy(folder / "policy"), folder / "next")
        return sum(len(example.completion_tokens) for example in examples), 0.0

    return turn


def loss_of(job: Mapping[str, Any], recipe: Recipe) -> "PolicyLoss":
    """The constant length of its `dr_grpo` is TRL's: the longest completion."""
    from stages.engines.training.policy_loss import PolicyLoss

    return PolicyLoss(
        recipe.update, recipe.rollout.temperature, job["completion_tokens"], "float32", None
    )


def examples_of(folder: Path) -> "list[Example]":
    """The rollouts that lie there, each with the advantage of its made-up grade in its group."""
    rows = read_table(folder / "rollouts.parquet", ROLLOUTS).to_pylist()
    rewards = np.array([reward(row["completion_tokens"]) for row in rows])
    groups = np.unique([row["problem_id"] for row in rows], return_inverse=True)[1]
    advantages = group_normalized(rewards, groups, normalize_by_std=False, std_epsilon=1e-4)
    return [example_of(row, advantage) for row, advantage in zip(rows, advantages, strict=True)]


def losses_of(job: Mapping[str, Any], folder: Path) -> dict[str, Sequence[float]]:
    """Loss and gradient norm of each step, the rollouts taken in the order of their table."""
    from stages.engines.computing import use_threads
    from stages.engines.policy import load_policy
    from stages.engines.training.trainer import Trainer

    use_threads()
    recipe = Recipe.model_validate(job["recipe"])
    trainer = Trainer(load_policy(folder / "policy"), recipe.update.optimizer)
    loss = loss_of(job, recipe)
    prepared = loss.prepare(trainer.model, examples_of(folder))
    for _ in range(recipe.update.epochs):
        for rows in np.array_split(np.arange(len(prepared)), recipe.update.minibatches_per_epoch):
            batch = [prepared[row] for row in rows]
            trainer.step(loss.minibatch(trainer.model, batch, {}, lambda num_tokens: None))
    names = ("loss", "grad_norm")
    return {name: column(trainer.history, name) for name in names}


if __name__ == "__main__":
    command(main)
