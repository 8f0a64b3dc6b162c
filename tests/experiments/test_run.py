"""Chains get checkouts of one commit, finished ones are left alone, a failure names its log."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from experiments import run
from experiments.plan import Chain, Profile, chains
from fixtures.checkouts import succeed
from flows.warm import SOCKET
from stages.running.errors import BadInput, MachineFailure
from tests.experiments.chains import PARAMS, PROFILE

CORE = min(os.sched_getaffinity(0))
CHAINS = list(chains(Profile.model_validate(PROFILE), yaml.safe_load(PARAMS.read_text())))


@pytest.fixture(scope="module")
def repository(checkout: Callable[[str], Path]) -> Path:
    return checkout("tiny")


@pytest.fixture
def here(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository as the one the command runs in, with the environment's programs."""
    monkeypatch.setattr(run, "ROOT", repository)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return repository


def head(repository: Path) -> str:
    return succeed(["git", "rev-parse", "HEAD"], repository).strip()


def test_an_experiment_stays_with_the_commit_it_began_with(here: Path, tmp_path: Path) -> None:
    began = run.pin_commit(tmp_path / "chains")
    assert began == head(here)
    (here / "new.txt").write_text("new")
    assert run.pin_commit(tmp_path / "chains") == began
    with pytest.raises(BadInput, match=r"1 file\(s\) differ from HEAD"):
        run.pin_commit(tmp_path / "others")
    (here / "new.txt").unlink()


def test_another_experiments_commit_is_taken_over(here: Path, tmp_path: Path) -> None:
    lender = tmp_path / "lender"
    with pytest.raises(BadInput, match="is no folder of an experiment: it has no file commit"):
        run.pin_commit(tmp_path / "chains", lender)
    lender.mkdir()
    (lender / "commit").write_text("an earlier one\n")
    assert run.pin_commit(tmp_path / "chains", lender) == "an earlier one"


def test_a_chain_gets_the_commit_its_params_and_no_results(here: Path, tmp_path: Path) -> None:
    clone = tmp_path / "chains" / CHAINS[0].name
    run.check_out(clone, head(here), CHAINS[0])
    assert head(clone) == head(here)
    assert yaml.safe_load((clone / "params.yaml").read_text()) == CHAINS[0].params
    assert not (clone / "dvc.lock").exists()
    (clone / "data/kept.txt").write_text("unfinished work")
    run.check_out(clone, head(here), CHAINS[0])
    assert (clone / "data/kept.txt").is_file()


def test_a_failure_names_the_chain_and_its_log(here: Path, tmp_path: Path) -> None:
    with pytest.raises(
        MachineFailure, match=rf"{CHAINS[0].name} ended with \d+; see .*\.log, then run again"
    ):
        run.run_chain(CHAINS[0], tmp_path, head(here), "no_such_stage", CORE, tmp_path / "none")
    assert "no_such_stage" in (tmp_path / f"{CHAINS[0].name}.log").read_text()
    assert not (tmp_path / "done").exists()


def test_chains_share_what_they_begin_with(
    here: Path, tmp_path: Path, warm: dict[str, str]
) -> None:
    socket = Path(warm[SOCKET])
    for chain in CHAINS[:2]:
        run.run_chain(chain, tmp_path, head(here), "prepare", CORE, socket)
        assert (tmp_path / "done" / f"{chain.name}-prepare").is_file()
    one, other = (tmp_path / chain.name / "data/format.json" for chain in CHAINS[:2])
    assert one.samefile(other)
    assert "python -m stages.prepare" in (tmp_path / f"{CHAINS[0].name}.log").read_text()
    assert "python -m stages" not in (tmp_path / f"{CHAINS[1].name}.log").read_text()


def test_a_server_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/warm.py").write_text("raise SystemExit(3)")
    with pytest.raises(MachineFailure, match="ended with 3"), run.warm_server(tmp_path):
        pass


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / f"{CHAINS[0].name}-evaluate").touch()
    run.run_chain(CHAINS[0], tmp_path, "no commit", "evaluate", CORE, tmp_path / "none")
    assert not (tmp_path / CHAINS[0].name).exists()


def test_nothing_begins_after_a_failure_and_what_runs_is_waited_for() -> None:
    ended: list[str] = []
    has_failed = threading.Event()

    def work(chain: Chain) -> None:
        if chain is CHAINS[0]:
            has_failed.set()
            raise MachineFailure("first")
        has_failed.wait()
        ended.append(chain.name)

    with pytest.raises(MachineFailure, match="first"):
        run.run_all(CHAINS, work, "chains", num_jobs=1)
    assert len(ended) <= 1  # one may begin between the failure and its being seen
