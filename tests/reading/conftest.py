"""The small world of `tests.reading.world`, opened once."""

from pathlib import Path

import pytest

from reading.database import Database
from tests.reading.world import write


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder `data`."""
    folder = tmp_path_factory.mktemp("world") / "data"
    write(folder)
    return folder


@pytest.fixture(scope="session")
def database(data: Path) -> Database:
    """Its tables."""
    return Database(data)
