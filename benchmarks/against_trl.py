"""A round of training by Knowhow and by TRL's `GRPOTrainer`, side by side: tokens/s of rollout, of
update, of both.

Reads   params.yaml: the shape of the default's policy, its problems, the recipe `outcome`. Installs
        TRL and what it needs beside this environment into --folder.
Writes  a table on stdout; with --out the figures as JSON.
Method  `endless`: a random Llama decoder of the default's shape that never ends its text by itself,
        so that every completion has the same length on both sides; with --policy a trained one,
        whose completions differ in length: TRL pads a round to its longest and generates until the
        last has ended. Same prompts, group size, temperature, clipping, epochs, minibatches,
        micro-batches, optimizer and threads; rewards are made up. TRL runs as its own `train()`
        does (`benchmarks.trl_rounds`), we as the two stages do, each a process of its own
        (`benchmarks.knowhow_rounds`): two workers sample, by a thread each; the update packs its
        rows. All processes live through the run and take turns, so that a slow moment of the
        machine hits both; the first turn is dropped. Processor seconds, all threads of a side, are
        what other jobs disturb least; where a side leaves a core idle they flatter it. Start-up,
        from the start of a process to its first round, is timed apart: TRL pays it once a run; we
        pay it every round, once for each stage. Sampling in TRL is transformers' `generate`, what
        one gets on a CPU: with its vLLM the engine starts, and fails as TRL hands it weights the
        first time (vLLM 0.32 packs them anew on a CPU). Losses are compared on one set of rollouts,
        ours: TRL is handed them, and both train a round on them. The loss is `dr_grpo`, which both
        divide by the same constant; TRL's `dapo` divides a minibatch by the mean of the round's
        token counts, ours by its own.
Claim   both at once at least 2 times TRL's tokens/s; losses of all steps within 1e-4.

Example: python -m benchmarks.against_trl --folder .venv/var/trl --repeats 5
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, Self

import torch
from transformers import LlamaForCausalLM

from benchmarks.trl_parity import environment_with_trl
from stages.contracts.params.inits.model import ModelShape
from stages.contracts.params.whole import Params, load
from stages.contracts.render import Renderer
from stages.engines.new_policy import llama_config
from stages.engines.policy import save_policy
from stages.running.errors import MachineFailure, command
from stages.running.publish import write_json
from stages.tasks.formats import load_format
from stages.tasks.sources import load_source

CLAIMED_RATIO, CLAIMED_DIFFERENCE = 2.0, 1e-4
RECIPE, INIT, THREADS = "outcome", "r0", 2
OURS, TRL = "knowhow", "trl"


class Spent(NamedTuple):
    """By the clock on the wall, and of the side's processors, all its threads."""

    seconds: float
    processor_seconds: float


class Turn(NamedTuple):
    """One round of one side.

    Its tokens are those of the completions that the policy drew itself.
    """

    num_tokens: int
    rollout: Spent
    update: Spent

    def spent(self, part: str) -> Spent:
        """On `rollout`, `update` or `both`."""
        both = Spent(*(a + b for a, b in zip(self.rollout, self.update, strict=True)))
        return {"rollout": self.rollout, "update": self.update, "both": both}[part]


class Losses(NamedTuple):
    """Both sides' steps on the same rollouts: the largest differences, and how large losses are."""

    num_steps: int
    largest_loss: float
    max_loss_difference: float
    max_grad_norm_difference_frac: float


def main(
    folder: Path = Path(".venv/var/trl"),
    repeats: int = 5,
    num_prompts: int = 384,
    generation: Literal["transformers", "continuous", "vllm"] = "transformers",
    policy: Path | None = None,
    out: Path | None = None,
    params_file: Path = Path("params.yaml"),
) -> None:
    """Run `repeats` rounds of each side in turn; `generation` is TRL's way to sample."""
    environment = {
        **environment_with_trl(folder),
        "OMP_NUM_THREADS": str(THREADS),
        "KNOWHOW_THREADS": str(THREADS),
        "OMP_WAIT_POLICY": "PASSIVE",  # a process that waits for its turn must not spin
    }
    with TemporaryDirectory() as scratch:
        job = write_job(Path(scratch), load(params_file), policy, num_prompts, repeats + 1)
        sides = {
            name: Worker(words, job, environment).ready()
            for name, words in (
                (TRL, ["trl_rounds", "--generation", generation]),
                ("rollout", ["knowhow_rounds", "--stage", "rollout"]),
                ("update", ["knowhow_rounds", "--stage", "update"]),
            )
        }
        turns = take_turns(sides, repeats)
        ours = Worker(["knowhow_rounds", "--stage", "losses"], job, environment).answer()
        theirs = Worker(["trl_rounds", "--losses"], job, environment).answer()
    losses = compare(ours, theirs)
    starts = {name: worker.start_seconds for name, worker in sides.items()}
    print(table(turns, starts, losses))
    if out is not None:
        found = {side: [as_json(turn) for turn in own] for side, own in turns.items()}
        write_json(out, {"turns": found, "startup_seconds": starts, "losses": losses._asdict()})


def as_json(turn: Turn) -> dict[str, Any]:
    """Its fields by name."""
    return {**turn._asdict(), "rollout": turn.rollout._asdict(), "update": turn.update._asdict()}


class Worker:
    """A side's process.

    It answers a line of JSON when it is ready, then one for each line it is sent.
    """

    def __init__(self, words: Sequence[str], job: Path, environment: Mapping[str, str]) -> None:
        program = [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:], "--job", str(job)]
        self.log = job.with_name("-".join(words)).with_suffix(".log")
        self.begin, self.start_seconds = time.perf_counter(), 0.0
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                program,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ready(self) -> Self:
        """Wait until it has imported and loaded what it needs; how long that took is
        `start_seconds`.
        """
        self.answer()
        self.start_seconds = time.perf_counter() - self.begin
        return self

    def turn(self) -> dict[str, Any]:
        """Have it run its part of a round."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line.

        Raises:
            MachineFailure: there is none.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            tail = "".join(self.log.read_text().splitlines(keepends=True)[-12:])
            raise MachineFailure(
                f"{self.log.stem} ended without an answer; the last it said:\n{tail}"
            )
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """No more turns: it ends by itself."""
        self.process.communicate()


def take_turns(sides: Mapping[str, Worker], repeats: int) -> dict[str, list[Turn]]:
    """The first turn warms up and is dropped."""
    turns: dict[str, list[Turn]] = {TRL: [], OURS: []}
    for number in range(repeats + 1):
        found = sides[TRL].turn()
        turns[TRL].append(
            Turn(found["num_tokens"], Spent(*found["rollout"]), Spent(*found["update"]))
        )
        sampled, trained = sides["rollout"].turn(), sides["update"].turn()
        turns[OURS].append(
            Turn(sampled["num_tokens"], Spent(*sampled["rollout"]), Spent(*trained["update"]))
        )
        print(f"turn {number}: {turns[TRL][-1]} {turns[OURS][-1]}", file=sys.stderr, flush=True)
    for worker in sides.values():
        worker.close()
    return {side: found[1:] for side, found in turns.items()}


def write_job(
    folder: Path, everything: Params, policy: Path | None, num_prompts: int, num_rounds: int
) -> Path:
    """The policy, and in job.json all that both sides must agree on."""
    recipe = everything.recipes[RECIPE].model_dump(mode="json")
    recipe["update"] |= {"normalize_by_std": False, "loss": "dr_grpo"}
    recipe["update"]["row_tokens"] = recipe["update"]["micro_batch_tokens"]
    recipe["rollout"]["shard_rollouts"] = num_prompts * recipe["rollout"]["group_size"] // THREADS
    form = load_format(everything.task)
    renderer = Renderer(form.tokenizer([]))
    cue_tokens = renderer.cue_tokens(form)
    if policy is None:
        save_policy(endless_policy(everything, renderer, cue_tokens), renderer, folder / "policy")
    else:
        shutil.copytree(policy, folder / "policy")
    easiest = (
        problem for problem in load_source(everything.task).problems() if problem.split == "train"
    )
    settings, update = everything.recipes[RECIPE].rollout, everything.recipes[RECIPE].update
    completion_tokens = settings.budget_tokens + 1 + settings.answer_tokens
    prompts = [problem.prompt for problem in islice(easiest, num_prompts)]
    widest = max(len(renderer.encode(prompt)) for prompt in prompts) + completion_tokens
    minibatch = num_prompts * settings.group_size // update.minibatches_per_epoch
    job = {
        "prompts": prompts,
        "cue_tokens": cue_tokens,
        "recipe": recipe,
        "completion_tokens": completion_tokens,
        "num_rounds": num_rounds,
        "threads": THREADS,
        "micro_batch_rollouts": micro_batch_rollouts(
            minibatch, update.micro_batch_tokens // widest
        ),
    }
    write_json(folder / "job.json", job)
    return folder / "job.json"


def micro_batch_rollouts(minibatch: int, most: int) -> int:
    """The largest divisor of a minibatch that is at most `most`: TRL's micro-batches are all of one
    size.
    """
    return max(size for size in range(1, most + 1) if minibatch % size == 0)


def endless_policy(
    everything: Params, renderer: Renderer, cue_tokens: list[int]
) -> LlamaForCausalLM:
    """A random decoder of the default's shape that writes neither cue nor end of text.

    Every token's embedding has a share that no layer takes away and that speaks against these two
    alone.
    """
    shape = everything.inits[INIT].model
    assert isinstance(shape, ModelShape)
    config = llama_config(shape, renderer)
    config.tie_word_embeddings = False
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 0.2
        model.lm_head.weight.normal_(std=0.2)
        model.lm_head.weight[[*renderer.stop_tokens, cue_tokens[0]], 0] = -20.0
    return model


def compare(ours: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> Losses:
    """Step by step; gradient norms in proportion."""
    losses = list(zip(ours["loss"], theirs["loss"], strict=True))
    norms = list(zip(ours["grad_norm"], theirs["grad_norm"], strict=True))
    return Losses(
        num_steps=len(losses),
        largest_loss=max(abs(own) for own, _ in losses),
        max_loss_difference=max(abs(own - other) for own, other in losses),
        max_grad_norm_difference_frac=max(abs(own - other) / other for own, other in norms),
    )


def table(turns: Mapping[str, Sequence[Turn]], starts: Mapping[str, float], losses: Losses) -> str:
    """Medians of both sides, their ratio turn by turn, start-up, losses."""
    lines = [f"{len(turns[OURS])} rounds each, in turn; medians, range in brackets"]
    lines.append(
        f"{'part':9}{'side':10}{'tokens':>9}{'seconds':>9}{'tokens/s':>10}{'of processors':>15}{'tokens/s':>10}"
    )
    for part in ("rollout", "update", "both"):
        for side in (TRL, OURS):
            own = turns[side]
            cells = f"{part:9}{side:10}{median(turn.num_tokens for turn in own):9,.0f}"
            for clock, width in enumerate((9, 15)):
                seconds = median(turn.spent(part)[clock] for turn in own)
                rate = median(turn.num_tokens / turn.spent(part)[clock] for turn in own)
                cells += f"{seconds:{width}.2f}{rate:10,.0f}"
            lines.append(cells)
        by_clock = (ratios(turns, part, clock) for clock in Spent._fields)
        found = [f"{median(own):.2f} [{min(own):.2f} … {max(own):.2f}]" for own in by_clock]
        lines.append(f"{part:9}{'ratio':10}by the clock {found[0]}, of processors {found[1]}")
    lines.append(
        "start-up, s: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in starts.items())
    )
    lines.append(
        f"losses of {losses.num_steps} steps on the same rollouts: largest {losses.largest_loss:.2e}, largest "
        f"difference {losses.max_loss_difference:.1e}; gradient norms differ by at most "
        f"{losses.max_grad_norm_difference_frac:.1e} of TRL's"
    )
    is_faster = median(ratios(turns, "both", "seconds")) >= CLAIMED_RATIO
    is_equal = losses.max_loss_difference <= CLAIMED_DIFFERENCE
    lines.append(
        f"claim at least {CLAIMED_RATIO:g} times TRL's tokens/s: {'holds' if is_faster else 'DOES NOT HOLD'}; "
        f"losses within {CLAIMED_DIFFERENCE:g}: {'holds' if is_equal else 'DOES NOT HOLD'}"
    )
    return "\n".join(lines)


def ratios(turns: Mapping[str, Sequence[Turn]], part: str, clock: str) -> list[float]:
    """Our tokens/s by TRL's, turn by turn; of the clock on the wall or of processors."""

    def rate(turn: Turn) -> float:
        seconds: float = getattr(turn.spent(part), clock)
        return turn.num_tokens / seconds

    return [rate(own) / rate(other) for own, other in zip(turns[OURS], turns[TRL], strict=True)]


if __name__ == "__main__":
    command(main)
