"""A round of training by Knowhow and by TRL's `GRPOTrainer`, side by side, in tokens per second.

Reads   params.yaml: the shape of the default's policy, its problems, the recipe `outcome`. Installs
        TRL and what it needs beside this environment into --folder.
Writes  a table on stdout, rollout and update apart and together; with --out the figures as JSON.
Method  `endless`: a random Llama decoder of the default's shape that never ends its text by itself,
        so that every completion has the same length on both sides; with --policy a trained one,
        whose completions differ in length: TRL pads a round to its longest and generates until the
        last has ended. Same prompts, group size, temperature, clipping, epochs, minibatches,
        micro-batches, optimizer and threads; rewards are made up. TRL runs as its own `train()`
        does (`benchmarks.trl.their_rounds`), we as the two stages do, each a process of its own
        (`benchmarks.trl.our_rounds`): two workers sample, by a thread each; the update packs its
        rows. All processes live through the run and take turns; the first turn is dropped.
        Start-up, from the start of a process to its first round, is timed apart: TRL pays it once a
        run; we pay it every round, once for each stage. Sampling in TRL is transformers'
        `generate`, what one gets on a CPU: with its vLLM the engine starts, and fails as TRL hands
        it weights the first time (vLLM 0.32 packs them anew on a CPU). Losses are compared on one
        set of rollouts, ours: TRL is handed them, and both train a round on them. The loss is
        `dr_grpo`, which both divide by the same constant; TRL's `dapo` divides a minibatch by the
        mean of the round's token counts, ours by its own.
Claim   both at once at least 2 times TRL's tokens/s; losses of all steps within 1e-4.

Example: python -m benchmarks.trl.speed --folder .venv/var/trl --repeats 5
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, Self

from benchmarks import measuring
from benchmarks.measuring import Spent
from benchmarks.trl.job import THREADS, write_job
from benchmarks.trl.packages import environment_with_trl
from stages.contracts.params.whole import load
from stages.running.errors import MachineFailure, command
from stages.running.publish import write_json

CLAIMED_RATIO, CLAIMED_DIFFERENCE = 2.0, 1e-4
OURS, TRL = "knowhow", "trl"
PARTS = ("rollout", "update", "both")


class Round(NamedTuple):
    """One round of one side; its tokens are those that the policy drew itself."""

    num_tokens: int
    rollout: Spent
    update: Spent

    def spent(self, part: str) -> Spent:
        """On `rollout`, `update` or `both`."""
        both = Spent(*(a + b for a, b in zip(self.rollout, self.update, strict=True)))
        return {"rollout": self.rollout, "update": self.update, "both": both}[part]

    def rate(self, part: str, clock: str) -> float:
        """Tokens per second of a part, by the clock on the wall or of processors."""
        seconds: float = getattr(self.spent(part), clock)
        return self.num_tokens / seconds


Rounds = Mapping[str, Sequence[Round]]
"""Of each side, turn by turn."""


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
    programs = {
        TRL: ["their_rounds", "--generation", generation],
        "rollout": ["our_rounds", "--stage", "rollout"],
        "update": ["our_rounds", "--stage", "update"],
    }
    with TemporaryDirectory() as scratch:
        job = write_job(Path(scratch), load(params_file), policy, num_prompts, repeats + 1)
        workers = {
            name: Worker(words, job, environment).ready() for name, words in programs.items()
        }
        rounds = run_rounds(workers, repeats)
        ours = Worker(["our_rounds", "--stage", "losses"], job, environment).answer()
        theirs = Worker(["their_rounds", "--losses"], job, environment).answer()
    losses = compare(ours, theirs)
    starts = {name: worker.start_seconds for name, worker in workers.items()}
    print(table(rounds, starts, losses))
    if out is not None:
        turns = {side: as_json(of_side) for side, of_side in rounds.items()}
        write_json(out, {"turns": turns, "startup_seconds": starts, "losses": losses._asdict()})


class Worker:
    """A side's process: a line of JSON when it is ready, then one for each line it is sent."""

    def __init__(self, words: Sequence[str], job: Path, environment: Mapping[str, str]) -> None:
        module = f"benchmarks.trl.{words[0]}"
        program = [sys.executable, "-m", module, *words[1:], "--job", str(job)]
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
        """Wait until it has imported and loaded what it needs: `start_seconds` says how long."""
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
        reply: dict[str, Any] = json.loads(line)
        return reply

    def close(self) -> None:
        """No more turns: it ends by itself."""
        self.process.communicate()


def run_rounds(workers: Mapping[str, Worker], repeats: int) -> dict[str, list[Round]]:
    """Both sides in turn; the first turn warms up and is dropped."""
    rounds: dict[str, list[Round]] = {TRL: [], OURS: []}
    for number in range(repeats + 1):
        theirs = workers[TRL].turn()
        sampled, trained = workers["rollout"].turn(), workers["update"].turn()
        for side, rollout, update in ((TRL, theirs, theirs), (OURS, sampled, trained)):
            spent = Spent(*rollout["rollout"]), Spent(*update["update"])
            rounds[side].append(Round(rollout["num_tokens"], *spent))
        print(f"turn {number}: {rounds[TRL][-1]} {rounds[OURS][-1]}", file=sys.stderr, flush=True)
    for worker in workers.values():
        worker.close()
    return {side: of_side[1:] for side, of_side in rounds.items()}


def as_json(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Rounds by the names of their fields."""
    rows = []
    for one in rounds:
        spent = {"rollout": one.rollout._asdict(), "update": one.update._asdict()}
        rows.append({"num_tokens": one.num_tokens, **spent})
    return rows


def compare(ours: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> Losses:
    """Step by step; gradient norms in proportion."""
    losses = list(zip(ours["loss"], theirs["loss"], strict=True))
    norms = list(zip(ours["grad_norm"], theirs["grad_norm"], strict=True))
    return Losses(
        num_steps=len(losses),
        largest_loss=max(abs(here) for here, _ in losses),
        max_loss_difference=max(abs(here - there) for here, there in losses),
        max_grad_norm_difference_frac=max(abs(here - there) / there for here, there in norms),
    )


def table(rounds: Rounds, starts: Mapping[str, float], losses: Losses) -> str:
    """Medians of both sides, their ratio turn by turn, start-up, losses."""
    header = ("part", "side", "tokens", "seconds", "tokens/s", "processor s", "tokens/s")
    started = ", ".join(f"{name} {seconds:.1f}" for name, seconds in starts.items())
    is_faster = median(ratios(rounds, "both", "seconds")) >= CLAIMED_RATIO
    is_equal = losses.max_loss_difference <= CLAIMED_DIFFERENCE
    return "\n".join(
        [
            f"{len(rounds[OURS])} rounds each, in turn; medians, range in brackets",
            measuring.table(header, list(side_lines(rounds))),
            *ratio_lines(rounds),
            f"start-up, s: {started}",
            f"losses of {losses.num_steps} steps on the same rollouts: largest "
            f"{losses.largest_loss:.2e}, largest difference {losses.max_loss_difference:.1e}; "
            f"gradient norms differ by at most {losses.max_grad_norm_difference_frac:.1e} of TRL's",
            f"claim at least {CLAIMED_RATIO:g} times TRL's tokens/s: "
            f"{measuring.verdict(is_faster)}; losses within {CLAIMED_DIFFERENCE:g}: "
            f"{measuring.verdict(is_equal)}",
        ]
    )


def side_lines(rounds: Rounds) -> Iterator[list[str]]:
    """A line for each part and side: tokens, then seconds and tokens per second by both clocks."""
    for part in PARTS:
        for side in (TRL, OURS):
            turns = rounds[side]
            cells = [part, side, f"{median(turn.num_tokens for turn in turns):,.0f}"]
            for clock in Spent._fields:
                seconds = median(getattr(turn.spent(part), clock) for turn in turns)
                rate = median(turn.rate(part, clock) for turn in turns)
                cells += [f"{seconds:.2f}", f"{rate:,.0f}"]
            yield cells


def ratio_lines(rounds: Rounds) -> Iterator[str]:
    """Our tokens per second by TRL's, of each part."""
    for part in PARTS:
        wall, processors = (ratios(rounds, part, clock) for clock in Spent._fields)
        yield (
            f"{part}: ratio by the clock {measuring.with_range(wall)}, "
            f"of processors {measuring.with_range(processors)}"
        )


def ratios(rounds: Rounds, part: str, clock: str) -> list[float]:
    """Our tokens per second by TRL's, turn by turn; of the clock on the wall or of processors."""
    ours = [one.rate(part, clock) for one in rounds[OURS]]
    theirs = [one.rate(part, clock) for one in rounds[TRL]]
    return measuring.ratios(ours, theirs)


if __name__ == "__main__":
    command(main)
