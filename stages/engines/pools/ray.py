"""Work done by the workers of a Ray cluster, by Ray Data. The only importer of ray.

Each worker opens the policy once and does one part at a time. Ray starts a worker that died again
and gives it its part again, `MAX_RETRIES` times; a part that was done stays done.
"""

import logging
import os
import secrets
import socket
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

# Read by ray when it is imported: no telemetry, and no noise of daemons about what is dealt with
# here.
os.environ.update(RAY_USAGE_STATS_ENABLED="0")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")

import numpy as np
import ray
import ray.data
from jaxtyping import Shaped
from ray._private import ray_constants
from ray._raylet import Config
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from stages.contracts.params.compute.inference import RayCluster
from stages.engines.device import DEVICE
from stages.engines.pools.pool import Model, Result, WorkFunction, WorkItem
from stages.running.errors import MachineFailure

LOCAL, AUTO = "local", "auto"
CONNECT_SECONDS = 10
MAX_RETRIES = 3
NO_PROGRESS_SECONDS = 6 * 3600
OBJECT_STORE_BYTES = 2**29
MAX_REASON = 400
CODE = Path(__file__).parents[2]
THREADS = ("KNOWHOW_THREADS", "OMP_NUM_THREADS")
"""How many there are may change the last bit of a sum, so workers have as many as this process
would.
"""
Parcel = Mapping[str, Any]
"""References to the bytes of a policy's files in Ray's object store, by name in its folder."""


@contextmanager
def ray_pool(
    opener: Callable[[Path], Model], policy: Path, where: RayCluster
) -> Iterator["RayPool[Model]"]:
    """Join the cluster, or start one on this machine, while the block runs.

    Raises:
        MachineFailure: the cluster cannot be joined, or has room for fewer workers than asked for.
    """
    with tempfile.TemporaryDirectory(prefix="knowhow-ray-", ignore_cleanup_errors=True) as folder:
        try:
            _start(where, folder) if where.address == LOCAL else _join(where)
            uses_gpu = ray.cluster_resources().get("GPU", 0) > 0 and os.environ.get(DEVICE) != "cpu"
            _need_room(where, "GPU" if uses_gpu else "CPU")
            parcel = policy.resolve() if where.address == LOCAL else _pack(policy)
            yield RayPool(opener, parcel, where.num_workers, uses_gpu)
        finally:
            ray.shutdown()


def _start(where: RayCluster, folder: str) -> None:
    """A cluster of this process, in `folder`: on loopback, behind a token; it dies with it."""
    os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex())
    Config.initialize("")  # reads the mode anew: vLLM may have imported ray long ago
    ray_constants.ENABLE_RAY_CLUSTER = (
        False  # else ray listens on every interface, whatever address it is given
    )
    ray.init(
        LOCAL,
        num_cpus=where.num_workers,
        num_gpus=0 if os.environ.get(DEVICE) == "cpu" else None,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="warning",
        _temp_dir=folder,
        _system_config={"worker_niceness": 0},  # ray's own is 15
    )


def _join(where: RayCluster) -> None:
    try:
        if where.address != AUTO:  # ray itself knocks for a minute or two
            host, port = where.address.rsplit(":", 1)
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(
            where.address,
            runtime_env={"py_modules": [str(CODE)]},
            log_to_driver=False,
            logging_level="warning",
        )
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise MachineFailure(
            f"compute.inference.where.address: cannot join the Ray cluster at {where.address} "
            f"({_reason(error)}); start its head with `ray start --head`, join this machine by "
            "`ray start --address=HOST:PORT`, or use kind here"
        ) from None


def _need_room(where: RayCluster, kind: str) -> None:
    room = int(ray.cluster_resources().get(kind, 0))
    if room < where.num_workers:
        raise MachineFailure(
            f"compute.inference.where.num_workers asks for {where.num_workers} workers of one "
            f"{kind} each, but the Ray cluster at {where.address} has {room}; join machines with "
            "`ray start --address=HOST:PORT`, or lower it"
        )


class RayPool(Generic[Model]):
    """Engines in workers of a Ray cluster, each with a GPU or a CPU of its own."""

    def __init__(
        self,
        opener: Callable[[Path], Model],
        policy: Path | Parcel,
        num_workers: int,
        uses_gpu: bool,
    ) -> None:
        self._opener, self._policy = opener, policy
        self._num_workers, self._uses_gpu = num_workers, uses_gpu

    def each(
        self,
        work: WorkFunction[Model, WorkItem, Result],
        parts: Iterable[WorkItem],
        on_tokens: Callable[[int], None],
    ) -> Iterator[tuple[int, Result]]:
        """See `stages.engines.pools.pool.Pool.each`.

        The workers start with the first item, and end with the last.

        Raises:
            MachineFailure: a worker died too often, or a part was lost or came twice.
        """
        references = [ray.put(part) for part in parts]
        if not references:
            return
        seen: set[int] = set()
        try:
            for batch in self._hand_out(work, references).iter_batches(
                batch_size=None, prefetch_batches=0
            ):
                for place, done in zip(batch["place"].tolist(), batch["done"], strict=True):
                    if isinstance(done.result, Exception):
                        raise done.result
                    if place in seen:
                        raise MachineFailure(
                            f"Ray brought part {place} of {len(references)} twice; run again"
                        )
                    seen.add(place)
                    for amount in done.told:
                        on_tokens(amount)
                    yield place, done.result
        except (RayError, ExecutionTimeoutError) as error:
            raise MachineFailure(
                f"Ray gave up with {len(seen)} of {len(references)} parts done ({_reason(error)}); "
                "`ray status` and the cluster's logs tell more; mend it and run again"
            ) from None
        lost = sorted(set(range(len(references))) - seen)
        if lost:
            raise MachineFailure(
                f"Ray lost {len(lost)} of {len(references)} parts, the first {lost[0]}; run again"
            )

    def _hand_out(
        self, work: WorkFunction[Model, WorkItem, Result], references: Sequence[ray.ObjectRef]
    ) -> ray.data.Dataset:
        """A row for each part when it is done: its place, and what is done."""
        environment = {
            DEVICE: "cuda" if self._uses_gpu else "cpu",
            **{name: os.environ.get(name) for name in THREADS},
        }
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_no_progress_timeout_s = NO_PROGRESS_SECONDS
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        warnings.filterwarnings(
            "ignore", "`ray_remote_args` is deprecated"
        )  # the only way to bound restarts
        places = [{"place": place} for place in range(len(references))]
        return ray.data.from_items(places, override_num_blocks=len(places)).map_batches(
            _Worker,
            fn_constructor_args=(self._opener, self._policy, work, references, environment),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                size=self._num_workers, max_tasks_in_flight_per_actor=1
            ),
            num_cpus=1,
            num_gpus=1 if self._uses_gpu else 0,
            max_restarts=MAX_RETRIES,
            max_task_retries=MAX_RETRIES,
        )


@dataclass(frozen=True)
class _Done:
    """What a worker hands back of a part.

    A class, for Ray Data would make columns of lists and numbers.
    """

    told: list[int]
    result: Any


class _Worker(Generic[Model, WorkItem, Result]):
    """In a process of its own: the policy, opened with the first part, and what is done to each."""

    def __init__(
        self,
        opener: Callable[[Path], Model],
        policy: Path | Parcel,
        work: WorkFunction[Model, WorkItem, Result],
        references: Sequence[ray.ObjectRef],
        environment: Mapping[str, str | None],
    ) -> None:
        for (
            name,
            value,
        ) in environment.items():  # before torch is imported; ray has set threads of its own
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})
        self._opener, self._policy = opener, policy
        self._work, self._references = work, references
        self._model: Model | None = None

    def __call__(
        self, batch: Mapping[str, Shaped[np.ndarray, " 1"]]
    ) -> dict[str, Shaped[np.ndarray, " 1"]]:
        """Do the part of a batch of one.

        An exception is a result too: the stage shall see it as its own.
        """
        token_counts: list[int] = []
        try:
            if self._model is None:
                self._model = self._opener(self._folder())
            part = ray.get(self._references[int(batch["place"][0])])
            result: Result | Exception = self._work(
                self._model, part, on_tokens=token_counts.append
            )
        except Exception as error:
            error.add_note(traceback.format_exc())
            result = error
        return {
            "place": batch["place"],
            "done": np.array([_Done(token_counts, result)], dtype=object),
        }

    def _folder(self) -> Path:
        """The policy's folder on this machine.

        Engines may come back to it, so one that travelled stays with them.
        """
        if isinstance(self._policy, Path):
            return self._policy
        self._unpacked = tempfile.TemporaryDirectory(prefix="knowhow-policy-")
        return _unpack(self._policy, Path(self._unpacked.name))


def _pack(folder: Path) -> Parcel:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): ray.put(np.fromfile(path, np.uint8)) for path in files
    }


def _unpack(parcel: Parcel, folder: Path) -> Path:
    for name, reference in parcel.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ray.get(reference).tofile(path)
    return folder


def _reason(error: BaseException) -> str:
    """An error of Ray in one line."""
    return " ".join(str(error).split())[:MAX_REASON]
