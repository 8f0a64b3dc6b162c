"""Processes that train one model compute what one process does, and none outlives another."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from fixtures.checkouts import ROOT
from stages.engines.training.ranks import AGENT, MEETING
from stages.engines.training.trainer import CHECKPOINT

CASES = ("sft", "lora", "policy", "policy_packed", "policy_anew", "policy_of_one")


@pytest.fixture(scope="module")
def worked_out(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of results by the number of processes that worked them out."""
    folders = {}
    for size in (1, 2):
        folders[size] = tmp_path_factory.mktemp(f"ranks{size}")
        meeting = {
            MEETING: str(folders[size] / "meeting"),
            "WORLD_SIZE": str(size),
            "GLOO_SOCKET_IFNAME": "lo",
        }
        meeting |= {"OMP_NUM_THREADS": "1", "KNOWHOW_DEVICE": "cpu", AGENT: str(os.getpid())}
        command = [
            sys.executable,
            "-m",
            "tests.engines.training.rank_losses",
            str(folders[size]),
            *CASES,
        ]
        environments = [
            {**os.environ, **({**meeting, "RANK": str(rank)} if size > 1 else {})}
            for rank in range(size)
        ]
        started = [
            subprocess.Popen(command, cwd=ROOT, env=e, stderr=subprocess.PIPE, text=True)
            for e in environments
        ]
        for process in started:
            _, complaint = process.communicate(timeout=300)
            assert process.returncode == 0, complaint
    return folders


@pytest.mark.parametrize("case", CASES)
def test_two_processes_compute_what_one_does(case: str, worked_out: dict[int, Path]) -> None:
    """Loss, gradient norm, watched values, clipped gradients and the weights after three steps."""
    alone, together = (np.load(worked_out[size] / f"{case}.npz") for size in (1, 2))
    assert set(alone) == set(together)
    for name in alone:
        assert together[name].dtype == np.float64
        assert together[name] == pytest.approx(alone[name], abs=1e-10, rel=0), name
    assert len(alone["records"]) == 3
    assert np.ptp(alone["records"][:, 0]) > 1e-3


@pytest.mark.parametrize("case", ["sft", "lora"])
def test_a_checkpoint_is_the_same_whoever_writes_it(case: str, worked_out: dict[int, Path]) -> None:
    alone, together = (load_file(worked_out[size] / case / CHECKPOINT) for size in (1, 2))
    assert alone.keys() == together.keys()
    for name, tensor in alone.items():
        assert together[name].numpy() == pytest.approx(tensor.numpy(), abs=1e-10, rel=0)


def test_a_process_whose_stage_is_gone_does_not_begin(tmp_path: Path) -> None:
    alone = {
        MEETING: str(tmp_path / "meeting"),
        "WORLD_SIZE": "1",
        "RANK": "0",
        AGENT: str(os.getppid()),
    }
    command = [
        sys.executable,
        "-c",
        "from stages.engines.training.ranks import processes\n"
        "with processes('sft', 1): print('begun')",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **alone}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (137, ""), done.stderr
