"""Stages whose inference runs in two workers of a real Ray cluster leave one engine's rows."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixtures.checkouts import PROFILES

PATIENCE_SECONDS = 300
INPUTS = {
    "policy": "data/policies/r0",
    "problems": "data/problems.parquet",
    "text_format": "data/format.json",
}
ROUND = {"round_id": "i1"}
JUDGED = {
    **ROUND,
    **{name: f"data/rounds/i1/{name}.parquet" for name in ("rollouts", "scores", "segments")},
    "solutions": "data/solutions.parquet",
}


@contextmanager
def running(
    stage: str, finished: Path, out: Path, **arguments: str | Path
) -> Iterator[psutil.Popen]:
    """A stage on two Ray workers, with the code and the inputs of a finished checkout."""
    text = (PROFILES / "tiny.yaml").read_text()
    here, cluster = "{kind: here}", "{kind: ray, address: local, num_workers: 2}"
    assert here in text
    (out / "params.yaml").write_text(text.replace(here, cluster))
    arguments = {**INPUTS, **arguments, "params_file": out / "params.yaml"}
    options = [
        str(word)
        for name, value in arguments.items()
        for word in (f"--{name.replace('_', '-')}", value)
    ]
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with psutil.Popen(
        [sys.executable, "-m", f"stages.{stage}", *options], cwd=finished, env=env
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def part_bytes(table: Path) -> dict[str, bytes]:
    """The files of a table."""
    return {part.name: part.read_bytes() for part in table.iterdir()}


def workers(stage: psutil.Popen) -> list[psutil.Process]:
    return [
        process for process in below(stage) if "MapWorker" in "".join(of(process, "cmdline") or [])
    ]


def below(stage: psutil.Popen) -> list[psutil.Process]:
    return [
        process
        for process in stage.children(recursive=True)
        if of(process, "status") not in (None, psutil.STATUS_ZOMBIE)
    ]


def of(process: psutil.Process, what: str) -> Any:
    """What is known of a process; None where it has ended, as helpers of Ray's do at any time."""
    with suppress(psutil.NoSuchProcess):
        return process.as_dict([what])[what]


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def left(
    finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[psutil.Process]]:
    """Every process below a stage that was killed at work; all have ended after the tests here.

    Not before: two agents of Ray's wait a minute for a cluster that is gone.
    """
    out = tmp_path_factory.mktemp("killed")
    with running("probe", finished, out, **JUDGED, probes=out / "probes.parquet") as stage:
        wait_until(lambda: len(workers(stage)) == 2)
        processes = below(stage)
        assert {"raylet", "gcs_server"} <= {process.name() for process in processes}
        stage.kill()
    yield processes
    _, alive = psutil.wait_procs(processes, PATIENCE_SECONDS)
    assert not alive


def test_a_stage_killed_before_reads_the_same_likelihoods(
    finished: Path, tmp_path: Path, left: list[psutil.Process]
) -> None:
    assert left
    written = tmp_path / "probes.parquet"
    with running("probe", finished, tmp_path, **JUDGED, probes=written) as stage:
        assert stage.wait(PATIENCE_SECONDS) == 0
    assert part_bytes(written) == part_bytes(finished / "data/rounds/i1/probes.parquet")


def test_a_worker_killed_half_way_costs_no_rollout(finished: Path, tmp_path: Path) -> None:
    """Killed with the first shard back and three to come; then the bytes are one engine's."""
    shards = tmp_path / "scratch"
    out = tmp_path / "rollouts.parquet"
    with running(
        "rollout",
        finished,
        tmp_path,
        **ROUND,
        rollouts=out,
        scratch_root=shards,
        code="data/code/rollout.json",
    ) as stage:
        wait_until(lambda: list(shards.glob("*/[0-9]*")) or stage.poll() is not None)
        assert len(list(shards.glob("*/[0-9]*"))) < 4
        first = {worker.pid for worker in workers(stage)}
        assert len(first) == 2
        os.kill(min(first), 9)
        assert stage.wait(PATIENCE_SECONDS) == 0
    assert part_bytes(out) == part_bytes(finished / JUDGED["rollouts"])


def test_an_exam_has_the_same_answers(finished: Path, tmp_path: Path) -> None:
    written = {name: tmp_path / f"{name}.parquet" for name in ("answers", "thoughts")}
    listed = {"policy_id": "r0", "code": "data/code/examine.json"}
    with running("examine", finished, tmp_path, **listed, **written) as stage:
        assert stage.wait(PATIENCE_SECONDS) == 0
    for name, table in written.items():
        assert part_bytes(table) == part_bytes(finished / f"data/exams/r0/{name}.parquet")
