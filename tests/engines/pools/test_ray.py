"""Work over a real Ray cluster that a stage joins: each item comes back once, whoever dies."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray
from ray._private import ray_constants
from ray._raylet import Config
from ray.cluster_utils import Cluster

from stages.contracts.params.compute.inference import RayCluster
from stages.engines.pools import ray as ray_pool
from stages.engines.pools.here import OneEngine
from stages.running.errors import BadInput, MachineFailure

PARTS = [[place, place + 1] for place in range(6)]


def open_factor(policy: Path) -> int:
    """A model of one number, from a policy of two files."""
    assert (policy / "empty").read_bytes() == b""
    return int((policy / "weights" / "factor").read_text())


def multiply(
    model: int, part: list[int], *, on_tokens: Callable[[int], None], seconds: float
) -> tuple[int, list[int]]:
    """The part's numbers times the model's, and the process that did it."""
    time.sleep(seconds)
    for number in part:
        on_tokens(number)
    return os.getpid(), [model * number for number in part]


def die(
    model: int, part: list[int], *, on_tokens: Callable[[int], None], deadly: list[int]
) -> list[int]:
    if part == deadly:
        os._exit(1)
    return part


def refuse(model: int, part: list[int], *, on_tokens: Callable[[int], None]) -> list[int]:
    raise BadInput(f"{len(part)} numbers refused, the first {part[0]}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster on loopback, behind a token: a raylet with room for two workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex())
        Config.initialize("")
        head = {"num_cpus": 2, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def where(cluster: Cluster) -> RayCluster:
    return RayCluster(kind="ray", address=cluster.address, num_workers=2)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    (folder / "weights").mkdir()
    (folder / "weights" / "factor").write_text("7")
    (folder / "empty").touch()
    return folder


def test_each_part_comes_once_though_a_worker_dies(where: RayCluster, policy: Path) -> None:
    """The policy travels with the work; who does an item, and after which, makes no difference."""
    work, token_counts, killed = partial(multiply, seconds=0.5), [], 0
    results: list[tuple[int, list[int]]] = []
    pids = set()
    with ray_pool.ray_pool(open_factor, policy, where) as pool:
        for place, (pid, numbers) in pool.each(work, PARTS, token_counts.append):
            results.append((place, numbers))
            pids.add(pid)
            if not killed:
                os.kill(killed := pid, 9)
    alone = [
        (place, numbers) for place, (_, numbers) in OneEngine(7).each(work, PARTS, lambda _: None)
    ]
    assert sorted(results) == alone
    assert sorted(token_counts) == sorted(number for part in PARTS for number in part)
    assert len(pids) >= 2


def test_a_machine_lost_half_way_costs_no_part(
    cluster: Cluster, where: RayCluster, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another raylet, with its own object store, stands for a machine: it joins, and is killed.

    Ray may give up on the item that was done there: then the run ends, and the next does what is
    left.

    Ray may give up on the part that was done there: then the run ends, and the next does what is
    left.
    """
    monkeypatch.setattr(ray_pool, "NO_PROGRESS_SECONDS", 120)
    machine = cluster.add_node(num_cpus=1)
    raylet = psutil.Process(machine.all_processes[ray_constants.PROCESS_TYPE_RAYLET][0].process.pid)
    work, parts, num_workers = partial(multiply, seconds=0.5), PARTS * 3, 3
    results: dict[int, list[int]] = {}
    for _ in range(2):
        left = [place for place in range(len(parts)) if place not in results]
        fewer = where.model_copy(update={"num_workers": num_workers})
        with suppress(MachineFailure), ray_pool.ray_pool(open_factor, policy, fewer) as pool:
            for place, (pid, numbers) in pool.each(
                work, [parts[place] for place in left], lambda _: None
            ):
                assert left[place] not in results
                results[left[place]] = numbers
                if num_workers == 3 and pid in {child.pid for child in raylet.children()}:
                    num_workers = 2
                    cluster.remove_node(machine, allow_graceful=False)
    assert num_workers == 2, "no part was done there"
    assert results == {place: [7 * number for number in part] for place, part in enumerate(parts)}


def test_an_error_of_the_work_is_handed_back_as_it_is(where: RayCluster, policy: Path) -> None:
    """By a worker in this process: to start one takes seconds, and the error is no other there."""
    with ray_pool.ray_pool(open_factor, policy, where):
        worker = ray_pool._Worker(open_factor, policy, refuse, [ray.put(PARTS[3])], {})
        [done] = worker({"place": np.array([0])})["done"]
    assert isinstance(done.result, BadInput)
    assert str(done.result) == "2 numbers refused, the first 3"


def test_a_part_that_kills_every_worker_ends_the_run(
    where: RayCluster, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "MAX_RETRIES", 1)
    work = partial(die, deadly=PARTS[-1])
    with (
        ray_pool.ray_pool(open_factor, policy, where) as pool,
        pytest.raises(MachineFailure, match=r"^Ray gave up with \d of 6 parts done \(.*run again$"),
    ):
        list(pool.each(work, PARTS, lambda _: None))


def test_a_cluster_too_small_is_named(where: RayCluster, policy: Path) -> None:
    more = where.model_copy(update={"num_workers": 3})
    with (
        pytest.raises(
            MachineFailure,
            match=r"asks for 3 workers of one CPU each, but the Ray cluster at .* has 2;",
        ),
        ray_pool.ray_pool(open_factor, policy, more),
    ):
        pass


def test_a_cluster_that_is_not_there_is_named(where: RayCluster, policy: Path) -> None:
    nowhere = where.model_copy(update={"address": "127.0.0.1:1"})
    with (
        pytest.raises(
            MachineFailure,
            match=r"compute.inference.where.address: cannot join the Ray cluster at 127.0.0.1:1",
        ),
        ray_pool.ray_pool(open_factor, policy, nowhere),
    ):
        pass
