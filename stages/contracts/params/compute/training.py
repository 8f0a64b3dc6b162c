"""Section `compute.training`: precision, memory, and processes of what back-propagates."""

from typing import Any, Literal

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
        """What an unfinished run needs unchanged to go on: all but the number of processes."""
        return self.model_dump(exclude={"num_processes"})
