"""Run the chains of a profile: each a `dvc repro` in its own checkout, with one DVC cache.

What two chains have in common (problems, initial policies) is computed once: DVC's run-cache knows
it. A chain that was interrupted goes on where it stopped; run the same command again. All chains
run the commit the experiment began with.

Example: python -m experiments.run --profile experiments/objectives.yaml --folder
data/experiments/objectives
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import yaml
from tqdm import tqdm

from experiments.plan import Chain, chains, load_profile
from stages.contracts.params.base import read_file
from stages.running.errors import BadInput, MachineFailure, command
from stages.running.publish import atomic

ROOT = Path(__file__).parent.parent
CACHE = Path(".dvc/cache")
GRACE_SECONDS = "10"


def main(profile: Path, folder: Path, num_jobs: int = 2, num_chains: int | None = None) -> None:
    """Run the chains that are not done, `num_jobs` at a time with a core each.

    `num_chains` stops earlier.
    """
    settings = load_profile(profile)
    wanted = list(chains(settings, read_file(Path("params.yaml"))))[:num_chains]
    commit = pin_commit(folder)
    cores: SimpleQueue[int] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0))[:num_jobs]:
        cores.put(core)

    def run(chain: Chain, target: str) -> None:
        core = cores.get()
        try:
            run_chain(chain, folder, commit, target, core)
        finally:
            cores.put(core)

    # Initial policies first: chains that share one would otherwise train it at the same time.
    starts = list({chain.init_seed: chain for chain in reversed(wanted)}.values())
    run_all(starts, lambda chain: run(chain, "sft"), "initial policies", num_jobs)
    run_all(wanted, lambda chain: run(chain, "evaluate"), "chains", num_jobs)


def pin_commit(folder: Path) -> str:
    """The commit whose code every chain runs: HEAD when the experiment began.

    Raises:
        BadInput: at the beginning, the working tree differs from HEAD.
    """
    pin = folder / "commit"
    if not pin.is_file():
        if changed := _git("status", "--porcelain", cwd=ROOT):
            raise BadInput(
                f"{len(changed.splitlines())} file(s) differ from HEAD; commit them, then run again"
            )
        with atomic(pin) as beside:
            beside.write_text(_git("rev-parse", "HEAD", cwd=ROOT) + "\n", encoding="utf-8")
    return pin.read_text(encoding="utf-8").strip()


def run_all(work: Sequence[Chain], run: Callable[[Chain], None], title: str, num_jobs: int) -> None:
    """Run each; after a failure nothing new begins, and what runs is waited for."""
    with (
        ThreadPoolExecutor(num_jobs) as executor,
        tqdm(total=len(work), desc=title, unit="chain") as bar,
    ):
        futures = [executor.submit(run, chain) for chain in work]
        for future in futures:
            try:
                future.result()
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise
            bar.update()


def run_chain(chain: Chain, folder: Path, commit: str, target: str, core: int) -> None:
    """Bring one target of a chain up to date, on one core.

    Raises:
        MachineFailure: a stage failed; names the chain and its log.
    """
    clone = folder / chain.name
    done = folder / "done" / f"{chain.name}-{target}"
    if done.is_file():
        return
    check_out(clone, commit, chain)
    log = folder / f"{chain.name}.log"
    threads = {"KNOWHOW_THREADS": "1", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **threads, "VLLM_CPU_OMP_THREADS_BIND": str(core)}
    python = [sys.executable, "-m"]
    command = ["taskset", "--cpu-list", str(core), *python, "flows.warm", "dvc", "repro", target]
    # ends all below it when its stdin closes
    guarded = [*python, "flows.run", GRACE_SECONDS, *command]
    with (
        log.open("a", encoding="utf-8") as stream,
        subprocess.Popen(
            guarded,
            cwd=clone,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        code = running.wait()
    if code:
        raise MachineFailure(f"chain {chain.name} ended with {code}; see {log}, then run again")
    done.parent.mkdir(exist_ok=True)
    done.touch()


def check_out(clone: Path, commit: str, chain: Chain) -> None:
    """A clone at `commit` with the chain's params.yaml, on this checkout's DVC cache; made once."""
    if not clone.is_dir():
        with atomic(clone) as beside:
            _git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(beside), cwd=ROOT)
            _git("checkout", "--quiet", "--detach", commit, cwd=beside)
            subprocess.run(
                ["dvc", "cache", "dir", "--local", str(ROOT / CACHE)], cwd=beside, check=True
            )
            (beside / "dvc.lock").unlink(missing_ok=True)
    with atomic(clone / "params.yaml") as beside:
        beside.write_text(yaml.safe_dump(chain.params, sort_keys=False), encoding="utf-8")


def _git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    command(main)
