"""What params.yaml says of the machines that compute: precision, processes, inference."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from stages.contracts.params.base import Count, Section


class Training(Section):
    """How stages that back-propagate compute."""

    precision: Literal["float32", "bfloat16"]
    """Of the forward and backward pass; weights, moments and sums are float32 in any case."""
    gradient_checkpointing: bool
    """Compute activations anew in the backward pass instead of keeping them."""
    num_processes: Count
    """Processes of this machine that share a model by FSDP2, one for each GPU."""

    def of_a_run(self) -> dict[str, Any]:
        """What must stay as it is for an unfinished run to go on: all but the processes."""
        return self.model_dump(exclude={"num_processes"})


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


class Compute(Section):
    """A stage depends on its part: other machines may round otherwise."""

    training: Training
    inference: Inference

    @property
    def num_probe_processes(self) -> int:
        """Of those that read likelihoods here: one where a cluster's workers read them."""
        is_elsewhere = isinstance(self.inference.where, RayCluster)
        return 1 if is_elsewhere else self.training.num_processes
