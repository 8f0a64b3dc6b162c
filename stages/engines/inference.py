"""Where inference runs, as params.yaml says: in the stage's own process, or in the workers of a Ray
cluster.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from stages.contracts.params.compute import Inference, RayInference
from stages.engines.pool import Model, OneEngine, Pool
from stages.engines.sampler import Sampler


@contextmanager
def pool_of(
    opener: Callable[[Path], Model], policy: Path, where: Inference
) -> Iterator[Pool[Model]]:
    """Engines that each hold what `opener` makes of the policy folder, while the block runs.

    Raises:
        MachineFailure: the cluster cannot be joined, or has too few machines.
    """
    if isinstance(where, RayInference):
        # ray takes seconds, and an engine in this process needs none of it
        from stages.engines.ray_pool import ray_pool

        with ray_pool(opener, policy, where) as pool:
            yield pool
    else:
        yield OneEngine(opener(policy))


def open_samplers(policy: Path, where: Inference) -> AbstractContextManager[Pool[Sampler]]:
    """Samplers of a policy, by vLLM."""
    return pool_of(_open_sampler, policy, where)


def _open_sampler(policy: Path) -> Sampler:
    from stages.engines.vllm_sampler import VllmSampler

    return VllmSampler(policy)
