"""Section `compute.inference`: which engine samples, and where engines run."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from stages.contracts.params.base import Count, Section


class Here(Section):
    """One engine in the stage's own process."""

    kind: Literal["here"]


class RayCluster(Section):
    """An engine in each of several workers of a Ray cluster.

    Rows do not depend on where they are made.
    """

    kind: Literal["ray"]
    address: Annotated[str, Field(pattern=r"^(local|auto|[^/\s:]+:\d+)$")]
    """Of the cluster's head, `host:port`; `auto` is the one this machine belongs to, `local` starts
    one here.
    """
    num_workers: Count
    """Each takes a GPU for itself, or a CPU where the cluster has no GPU."""


Where = Annotated[Here | RayCluster, Field(discriminator="kind")]


class InferenceEngine(Section):
    """What samples: the module of `stages.engines.samplers` that its `engine` names."""

    is_exact: ClassVar[bool]
    """Whether equal requests draw equal bits, with the log-probabilities they were drawn from."""
    where: Where


class VllmEngine(InferenceEngine):
    """vLLM, in the process of each engine."""

    is_exact = True
    engine: Literal["vllm"]


Inference = VllmEngine
"""Or a union of these, keyed by `engine`."""
