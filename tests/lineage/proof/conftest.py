"""A tree with no more than an audit reads."""

from pathlib import Path

import pytest

from tests.lineage.forging import slim


@pytest.fixture(scope="module")
def tree(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree as DVC leaves it. Tests must leave it as it is."""
    return slim(audited, tmp_path_factory.mktemp("slim") / "tree")
