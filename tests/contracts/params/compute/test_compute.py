"""The machines that compute: what follows from both halves of the section."""

from typing import Any

import pytest

from stages.contracts.params.compute.compute import Compute


@pytest.mark.parametrize(
    ("where", "num_processes"),
    [({"kind": "here"}, 4), ({"kind": "ray", "address": "head:6379", "num_workers": 2}, 1)],
)
def test_likelihoods_are_read_where_inference_runs(
    where: dict[str, Any], num_processes: int
) -> None:
    training = {"precision": "float32", "gradient_checkpointing": False, "num_processes": 4}
    inference = {"engine": "vllm", "where": where}
    compute = Compute.model_validate({"training": training, "inference": inference})
    assert compute.num_probe_processes == num_processes
