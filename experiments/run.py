"""Run the chains of a profile: each in a checkout of its own, by one process on one core.

`experiments.chain` runs the steps of a chain and keeps its engine; all chains are forks of a server
that has the libraries loaded. What chains have in common (problems, initial policies, their exams)
is computed once and linked. A chain that was interrupted goes on where it stopped; run the same
command again. All chains run the commit the experiment began with.

Example: python -m experiments.run --profile experiments/objectives.yaml --folder
data/experiments/objectives --arms outcome anytime
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import yaml
from tqdm import tqdm

from experiments.plan import Chain, chains, check_arms, load_profile
from stages.contracts.params.base import read_file
from stages.running.errors import BadInput, MachineFailure, command
from stages.running.publish import atomic

ROOT = Path(__file__).parent.parent
GRACE_SECONDS = "10"
POLL_SECONDS = 0.1
SETTINGS = {"KNOWHOW_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
"""Of the server and of every chain: a process a core, and hashes as dvc.yaml has them."""


def main(
    profile: Path,
    folder: Path,
    num_jobs: int = 2,
    num_chains: int | None = None,
    arms: tuple[str, ...] = (),
    lender: Path | None = None,
) -> None:
    """Run the chains that are not done, `num_jobs` at a time with a core each.

    `num_chains` stops earlier; `arms` are those to run, all unless said. `lender` is the folder of
    another experiment, whose commit and finished steps are taken over: of longer chains, the rounds
    that it has.
    """
    settings = load_profile(profile)
    check_arms(settings, profile, arms)
    all_chains = chains(settings, read_file(Path("params.yaml")))
    wanted = [chain for chain in all_chains if not arms or chain.arm in arms][:num_chains]
    commit = pin_commit(folder, lender)
    cores: SimpleQueue[int] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0))[:num_jobs]:
        cores.put(core)

    # Initial policies first: chains that share one would otherwise train it at the same time.
    starts = list({chain.init_seed: chain for chain in reversed(wanted)}.values())
    code = folder / starts[0].name
    check_out(code, commit, starts[0])
    with warm_server(code) as socket:

        def run(chain: Chain, target: str) -> None:
            core = cores.get()
            try:
                run_chain(chain, folder, commit, target, core, socket, lender)
            finally:
                cores.put(core)

        run_all(starts, lambda chain: run(chain, "sft"), "initial policies", num_jobs)
        run_all(wanted, lambda chain: run(chain, "evaluate"), "chains", num_jobs)


def pin_commit(folder: Path, lender: Path | None = None) -> str:
    """The commit whose code every chain runs: the lender's, or HEAD when the experiment began.

    Raises:
        BadInput: at the beginning, the lender has none, or the working tree differs from HEAD.
    """
    pin = folder / "commit"
    if not pin.is_file() and lender is not None:
        if not (lender / pin.name).is_file():
            raise BadInput(f"{lender} is no folder of an experiment: it has no file {pin.name}")
        with atomic(pin) as beside:
            shutil.copy(lender / pin.name, beside)
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


@contextmanager
def warm_server(code: Path) -> Iterator[Path]:
    """The socket of a server that has the code of a checkout, and its libraries, loaded.

    Raises:
        MachineFailure: it ended before it was ready.
    """
    with tempfile.TemporaryDirectory(prefix="knowhow-") as folder:
        path = Path(folder) / "warm"
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.warm", "--serve", str(path)],
            cwd=code,
            env={**os.environ, **SETTINGS},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            while not path.exists():
                if process.poll() is not None:
                    raise MachineFailure(f"the warm server ended with {process.returncode}")
                time.sleep(POLL_SECONDS)
            yield path
        finally:
            process.kill()
            process.wait()


def run_chain(
    chain: Chain,
    folder: Path,
    commit: str,
    target: str,
    core: int,
    socket: Path,
    lender: Path | None = None,
) -> None:
    """Bring one target of a chain up to date, on one core; a line is shown for each round.

    Raises:
        MachineFailure: a step failed; names the chain and its log.
    """
    clone = folder / chain.name
    done = folder / "done" / f"{chain.name}-{target}"
    if done.is_file():
        return
    check_out(clone, commit, chain)
    log = folder / f"{chain.name}.log"
    of_core = {"KNOWHOW_WARM": str(socket), "VLLM_CPU_OMP_THREADS_BIND": str(core)}
    python = [sys.executable, "-m"]
    siblings = [str(one.resolve()) for one in (folder, lender) if one is not None]
    options = ["--targets", target, "--siblings", *siblings, "--core", str(core)]
    # ends all below it when its stdin closes
    guarded = [*python, "flows.run", GRACE_SECONDS, *python, "experiments.chain", *options]
    with (
        log.open("a", encoding="utf-8") as stream,
        subprocess.Popen(
            guarded,
            cwd=clone,
            env={**os.environ, **SETTINGS, **of_core},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        ) as running,
    ):
        assert running.stdout is not None
        for line in running.stdout:
            tqdm.write(f"{chain.name} {line.rstrip()}", file=sys.stderr)
        code = running.wait()
    if code:
        raise MachineFailure(f"chain {chain.name} ended with {code}; see {log}, then run again")
    done.parent.mkdir(exist_ok=True)
    done.touch()


def check_out(clone: Path, commit: str, chain: Chain) -> None:
    """A clone at `commit` with the chain's params.yaml; made once."""
    if not clone.is_dir():
        with atomic(clone) as beside:
            _git("clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(beside), cwd=ROOT)
            _git("checkout", "--quiet", "--detach", commit, cwd=beside)
            (beside / "dvc.lock").unlink(missing_ok=True)
    with atomic(clone / "params.yaml") as beside:
        beside.write_text(yaml.safe_dump(chain.params, sort_keys=False), encoding="utf-8")


def _git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    command(main)
