"""Our policy losses against TRL's: value and gradient, in float64.

Reads   nothing; installs TRL and what it needs beside this environment into --folder (22 MiB, no
        torch of its own).
Writes  a table on stdout.
Method  One random Llama policy, ragged rollouts with forced tokens. TRL's side is the real
        `GRPOTrainer`, made by its own constructor, and its `_compute_loss` as it stands. TRL 1.16
        computes log-probabilities in a kernel that rounds to float32, whatever the model; `exact`
        gives the loss log-probabilities in float64 instead, `as shipped` leaves the kernel in. Ours
        is `PolicyLoss` as an update runs it, cut into micro-batches. Prompts are of one length: TRL
        pads them on the left without telling the model, whose rotary positions are float32. Where
        names differ: TRL's `bnpo` is `dapo` over one minibatch. `gspo` is its `grpo` with ratios by
        sequence, compared where a rollout has one advantage and one weight: else ours is
        GSPO-token, which TRL 1.16 lacks; and without KL, which TRL then weighs by the sequence's
        ratio, we by the token's. The bound of `cispo` is `epsilon_high` there and 1 + clip_high
        here; there is no lower one (clip_low 1).
Claim   exact: values and gradients differ by less than 1e-10.

Example: python -m benchmarks.trl.parity --folder .venv/var/trl
"""

import os
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from transformers.utils.logging import disable_progress_bar

from benchmarks.measuring import table
from benchmarks.trl.packages import environment_with_trl
from benchmarks.trl.parity_sides import CAP, Case, by_trl, by_us, difference, rollouts
from stages.contracts.params.recipes.update import Update
from stages.contracts.params.whole import load
from stages.running.errors import command

CLAIMED_DIFFERENCE = 1e-10
CLIP_LOW, CLIP_HIGH, KL, ENTROPY = 0.2, 0.28, 0.3, 0.2
PPO: dict[str, Any] = {"epsilon": CLIP_LOW, "epsilon_high": CLIP_HIGH}
HEADER = ("loss", "value", "gradient", "exact: Δ value", "Δ gradient", "as shipped")


def main(folder: Path, params_file: Path = Path("params.yaml")) -> None:
    """Compare every loss that TRL has too."""
    start_again_with_trl(folder)
    base = load(params_file).recipes["information"].update.model_dump()
    lines, worst = [], 0.0
    with TemporaryDirectory() as scratch:
        for case in cases():
            print(case.name, file=sys.stderr, flush=True)
            changes = {"objective": {"name": "outcome"}, **case.ours, "micro_batch_tokens": 26}
            settings = Update.model_validate({**base, **changes})
            examples = rollouts(case.is_per_token)
            ours = by_us(settings, examples)
            exact = by_trl(case, settings, examples, Path(scratch), is_exact=True)
            shipped = by_trl(case, settings, examples, Path(scratch), is_exact=False)
            values, gradients = abs(ours.value - exact.value), difference(ours, exact)
            worst = max(worst, values, gradients)
            cells = [case.name, f"{ours.value:.8f}", f"{np.abs(ours.gradient).max():.6f}"]
            differences = (values, gradients, difference(ours, shipped))
            lines.append([*cells, *(f"{value:.1e}" for value in differences)])
    print(table(HEADER, lines))
    print(f"largest difference {worst:.1e}; claimed: below {CLAIMED_DIFFERENCE:.0e}")
    if worst >= CLAIMED_DIFFERENCE:
        raise SystemExit(1)


def start_again_with_trl(folder: Path) -> None:
    """If this process does not see TRL, become one that does."""
    environment = environment_with_trl(folder)
    if find_spec("trl") is None:  # transformers looks for packages once, when it is imported
        program = [sys.executable, "-m", "benchmarks.trl.parity", *sys.argv[1:]]
        os.execve(sys.executable, program, environment)  # noqa: S606
    warnings.filterwarnings("ignore")
    disable_progress_bar()


def cases() -> Iterator[Case]:
    """Each loss by rollout and by token, with and without the terms that may be added."""
    plain: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "grpo": ({"clip_low": CLIP_LOW, "clip_high": CLIP_LOW}, {"epsilon": CLIP_LOW}),
        "grpo, two bounds": ({}, PPO),
        "dr_grpo": ({}, PPO),
        "dapo": ({}, PPO),
        "bnpo (our dapo)": ({}, PPO),
        "gspo": ({}, {**PPO, "loss_type": "grpo", "importance_sampling_level": "sequence"}),
        "cispo": ({"clip_low": 1.0, "clip_high": CLIP_HIGH}, {"epsilon_high": 1 + CLIP_HIGH}),
    }
    for name, (ours, theirs) in plain.items():
        kind = name.split(",")[0].split(" ")[0]
        ours = {
            "loss": "dapo" if kind == "bnpo" else kind,
            "clip_low": CLIP_LOW,
            "clip_high": CLIP_HIGH,
            **ours,
        }
        theirs = {"loss_type": kind, **theirs}
        yield Case(name, ours, theirs, False)
        if kind != "gspo":
            yield Case(f"{name}, advantage per token", ours, theirs, True)
            ours_kl, theirs_kl = {**ours, "kl_coefficient": KL}, {**theirs, "beta": KL}
            yield Case(f"{name}, kl", ours_kl, theirs_kl, True)
            truncated = {**ours_kl, "importance_correction": {"kind": "truncate", "cap": CAP}}
            yield Case(f"{name}, kl, truncated importance", truncated, theirs_kl, True)
        yield Case(
            f"{name}, entropy",
            {**ours, "entropy_coefficient": ENTROPY},
            {**theirs, "entropy_coef": ENTROPY},
            False,
        )


if __name__ == "__main__":
    command(main)
