"""The pinned sets are complete: what an installed package needs is there, for every Python that may
run here.
"""

from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
WITHOUT_CPU_BUILD = {"torchvision", "torchaudio", "torchcodec"}


def pinned(name: str) -> set[str]:
    """Names of the packages of a requirements file."""
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return {
        canonicalize_name(Requirement(line).name)
        for line in lines
        if line and not line.startswith("#")
    }


@pytest.mark.parametrize("python", ["3.11.0", "3.11.9", "3.12.0", "3.13.0"])
def test_every_requirement_of_an_installed_package_is_pinned(python: str) -> None:
    sets = pinned("cpu.txt") | pinned("lineage.txt") | pinned("dev.txt") | {"knowhow"}
    environment = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "extra": "",
    }
    missing = {
        f"{need.name} (for {owner.name})"
        for owner in distributions()
        if canonicalize_name(owner.name) in sets
        for need in map(Requirement, owner.requires or [])
        if need.marker is None or need.marker.evaluate(environment)
        if canonicalize_name(need.name) not in sets | WITHOUT_CPU_BUILD
    }
    assert not missing, f"pin in requirements/: {sorted(missing)}"
