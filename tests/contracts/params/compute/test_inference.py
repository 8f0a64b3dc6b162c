"""Which engine samples, and where it runs: each key by itself."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from stages.contracts.params.compute.inference import Inference
from tests.contracts.params.mistakes import Edit, Mistake, assert_refused, each_mistake, put

RAY = {"kind": "ray", "address": "head:6379", "num_workers": 2}
MISTAKES: list[Mistake] = [
    (
        "a_ray_client",
        [put("compute.inference.where", {**RAY, "address": "ray://head:10001"})],
        ["compute.inference.where", "address", "ray://head:10001"],
    ),
    (
        "place",
        [put("compute.inference.where", {"kind": "slurm"})],
        ["compute.inference", "where", "'ray'", "slurm"],
    ),
    (
        "a_place_without_its_keys",
        [put("compute.inference.where", {"kind": "ray"})],
        ["compute.inference.where", "address", "num_workers"],
    ),
    (
        "an_engine_that_nobody_made",
        [put("compute.inference.engine", "sglang")],
        ["compute.inference.engine", "'vllm'", "'sglang'"],
    ),
    (
        "an_engine_without_a_place",
        [put("compute.inference", {"engine": "vllm"})],
        ["compute.inference.where", "Field required"],
    ),
]


@each_mistake(MISTAKES)
def test_a_mistake_is_refused_and_named(
    edits: list[Edit], named: list[str], tmp_path: Path
) -> None:
    assert_refused(edits, named, tmp_path)


@pytest.mark.parametrize("where", [{"kind": "here"}, RAY], ids=["here", "ray"])
def test_an_engine_is_as_exact_anywhere(where: dict[str, str | int]) -> None:
    """That is a trait of the engine: no key of params.yaml."""
    settings = TypeAdapter(Inference).validate_python({"engine": "vllm", "where": where})
    assert settings.where.kind == where["kind"]
    assert settings.is_exact
    assert "is_exact" not in settings.model_dump()
