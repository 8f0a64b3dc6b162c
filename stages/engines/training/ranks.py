"""One stage in several processes of this machine, a GPU each, that share a model by FSDP2.

Torchrun's agent starts them. A process among them is a rank. Each rank runs the whole stage up to
its outputs, and of the work in between its own share: every sum is the same as in one process but
for the order of its terms. The first rank writes, the others end before it does. One that fails
takes the others with it, and the stage ends as it did. Stage and ranks meet by a file, and talk
over the loopback interface alone.
"""

import ctypes
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor, nn
from transformers import PreTrainedModel

from stages import SOCKET
from stages.engines.device import device, exclusive_device
from stages.pure.packing import balanced
from stages.running.errors import MachineFailure

MEETING, AGENT = "KNOWHOW_RANKS_MEETING", "KNOWHOW_RANKS_AGENT"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
LOOPBACK = {
    "GLOO_SOCKET_IFNAME": "lo",
    "NCCL_SOCKET_IFNAME": "lo",
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}


@contextmanager
def processes(stage: str, num_processes: int) -> Iterator[None]:
    """Run the block in `num_processes` processes; this stage holds the accelerator alone.

    One is this process. Of several, it starts the others by the command that it was started by,
    waits, and ends as they did: only they enter the block.

    Raises:
        MachineFailure: the accelerator was not free in time, or a rank was killed.
    """
    if MEETING in os.environ:
        with _joined():
            yield
    else:
        with exclusive_device(stage):
            if num_processes > 1:
                raise SystemExit(_run_ranks(stage, num_processes))
            yield


def _run_ranks(stage: str, num_processes: int) -> int:
    """Start the ranks and wait; the exit code of the first that failed, or 0."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="knowhow-") as folder:
        os.environ.pop(SOCKET, None)  # a warm server's fork would not be the agent's child
        os.environ.update(
            {**LOOPBACK, MEETING: str(Path(folder) / "ranks"), AGENT: str(os.getpid())}
        )
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            run_id=stage,
            rdzv_backend="c10d",
            rdzv_endpoint=str(Path(folder) / "agent"),
            rdzv_configs={"store_type": "file"},
            local_addr="127.0.0.1",
            max_restarts=0,
            shutdown_timeout=5,
        )
        try:
            elastic_launch(config, sys.executable)("-m", f"stages.{stage}", *sys.argv[1:])
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            killed = [
                failed for failed in error.failures.items() if failed[1].exitcode == -signal.SIGKILL
            ]
            rank, failure = (
                killed[0] if killed else (rank, failure)
            )  # those it took with it may be seen to end before
            if failure.exitcode < 0:
                raise MachineFailure(
                    f"{stage}: process {rank} of {num_processes} was killed by signal "
                    f"{-failure.exitcode}; where memory was short (9), lower micro_batch_tokens, "
                    "then run again"
                ) from None
            return int(failure.exitcode)
        except SignalException as error:  # to this process, and the agent has ended the ranks
            return 128 + int(error.sigval)
    return 0


@contextmanager
def _joined() -> Iterator[None]:
    ctypes.CDLL(None).prctl(
        PR_SET_PDEATHSIG, signal.SIGKILL
    )  # torchrun's agent may be killed without a word
    if os.getppid() != int(os.environ[AGENT]):  # it was, before that call
        raise SystemExit(128 + signal.SIGKILL)
    if device() == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(
        "nccl" if device() == "cuda" else "gloo",
        init_method=f"file://{os.environ[MEETING]}",
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def shard_model(model: PreTrainedModel) -> None:
    """Leave to each rank its shard of every weight, of its gradient and of its moments.

    Gradients are sums over ranks. Weights come together layer by layer while a pass needs them.
    Without ranks nothing happens.
    """
    if not dist.is_initialized():
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    mesh = init_device_mesh(model.device.type, (dist.get_world_size(),))
    for layer in (
        m for m in model.modules() if type(m).__name__ in (model._no_split_modules or ())
    ):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other


def reshard(model: nn.Module) -> None:
    """Let go of weights that a pass gathered, so that the next one sees what was put into shards.

    Without ranks nothing happens.
    """
    if not dist.is_initialized():
        return
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def own_work(num_tokens: Sequence[int]) -> list[tuple[int, bool]]:
    """This rank's pieces of work, of so many tokens each, and whether each counts.

    Without ranks these are all, in order. Every rank has as many, so that all meet at every weight:
    one that runs out does the smallest piece again, for nothing.
    """
    if not dist.is_initialized():
        return [(piece, True) for piece in range(len(num_tokens))]
    parts = balanced(num_tokens, dist.get_world_size())
    own, longest = parts[dist.get_rank()], max(map(len, parts))
    smallest = min(range(len(num_tokens)), key=lambda piece: num_tokens[piece])
    return [(piece, True) for piece in own] + [(smallest, False)] * (longest - len(own))


def sum_over_ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Each value summed over ranks, which must have the same names."""
    return _reduced(values, dist.ReduceOp.SUM)


def max_over_ranks(value: float) -> float:
    """The largest of what the ranks have."""
    return _reduced({"": value}, dist.ReduceOp.MAX)[""]


def _reduced(values: Mapping[str, float], how: dist.ReduceOp.RedOpType) -> dict[str, float]:
    if not dist.is_initialized():
        return dict(values)
    names = sorted(values)
    tensor = torch.tensor([values[name] for name in names], dtype=torch.float64, device=device())
    dist.all_reduce(tensor, how)
    return dict(zip(names, tensor.tolist(), strict=True))


def gathered(found: dict[int, Any]) -> dict[int, Any]:
    """What all ranks found, each a part of the whole."""
    if not dist.is_initialized():
        return found
    parts: list[dict[int, Any]] = [{} for _ in range(dist.get_world_size())]
    dist.all_gather_object(parts, found)
    return {key: value for part in parts for key, value in part.items()}


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def from_first(value: bool) -> bool:
    """The value of the first rank, in all ranks, which all call it."""
    return max_over_ranks(float(value and is_first())) > 0


def exit_unless_first() -> None:
    """End every rank but the first, well: from here on its work is its own."""
    if not is_first():
        raise SystemExit(0)


def full_tensor(tensor: Shaped[Tensor, "*axes"]) -> Shaped[Tensor, "*axes"]:
    """A tensor whole, of which each rank may have a part; all ranks call it."""
    gathered_whole: Callable[[], Tensor] | None = getattr(tensor, "full_tensor", None)  # a DTensor
    return tensor if gathered_whole is None else gathered_whole()


def distributed_like(
    tensor: Shaped[Tensor, "*axes"], like: Shaped[Tensor, "*axes"]
) -> Shaped[Tensor, "*axes"]:
    """A whole tensor on the device of another, or this rank's part of it where the other is one."""
    if not dist.is_initialized():
        return tensor.to(like.device)
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(
        tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )


def gather_on_first(model: PreTrainedModel) -> None:
    """Make a sharded model whole, on the CPU, in the first rank, and end the others.

    It is to be written, not run.
    """
    if not dist.is_initialized():
        return
    from torch.distributed.fsdp import FSDPModule

    found: dict[Tensor, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter not in found:
                found[parameter] = nn.Parameter(
                    full_tensor(parameter.detach()).cpu(), parameter.requires_grad
                )
            setattr(module, name, found[parameter])
        if isinstance(module, FSDPModule):
            module.__class__ = type(module).__mro__[
                2
            ]  # what it was: FSDP2 makes a class of it and its own
    exit_unless_first()
