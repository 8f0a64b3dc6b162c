"""Inference as params.yaml asks for it: which engine samples, and where engines run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

from stages.contracts.params.compute.inference import Inference, RayCluster, Where
from stages.engines.pools.here import OneEngine
from stages.engines.pools.pool import Model, Pool
from stages.engines.sampler import Sampler


@contextmanager
def open_pool(opener: Callable[[Path], Model], policy: Path, where: Where) -> Iterator[Pool[Model]]:
    """Engines that each hold what `opener` makes of the policy folder, while the block runs.

    Raises:
        MachineFailure: the cluster cannot be joined, or has too few machines.
    """
    if isinstance(where, RayCluster):
        # ray takes seconds, and an engine in this process needs none of it
        from stages.engines.pools.ray import ray_pool

        with ray_pool(opener, policy, where) as pool:
            yield pool
    else:
        yield OneEngine(opener(policy))


def open_samplers(policy: Path, inference: Inference) -> AbstractContextManager[Pool[Sampler]]:
    """Samplers of a policy, by the module of `stages.engines.samplers` that the engine names."""
    return open_pool(partial(_open_sampler, inference=inference), policy, inference.where)


def _open_sampler(policy: Path, inference: Inference) -> Sampler:
    """`open_sampler` of the engine's module, which is imported by whoever runs it."""
    module = import_module(f"stages.engines.samplers.{inference.engine}")
    sampler: Sampler = module.open_sampler(policy, inference)
    return sampler
