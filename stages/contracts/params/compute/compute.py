"""Section `compute`: what params.yaml says of the machines that compute."""

from stages.contracts.params.base import Section
from stages.contracts.params.compute.inference import Inference, RayCluster
from stages.contracts.params.compute.training import Training


class Compute(Section):
    """A stage depends on its part: other machines may round otherwise."""

    training: Training
    inference: Inference

    @property
    def num_probe_processes(self) -> int:
        """Of those that read likelihoods here: one where the workers of a cluster read them."""
        is_elsewhere = isinstance(self.inference.where, RayCluster)
        return 1 if is_elsewhere else self.training.num_processes
