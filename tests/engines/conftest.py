"""Property tests draw the same examples every time; a policy on disk to look at and to spoil."""

from pathlib import Path

import pytest
from hypothesis import settings

from stages.engines import varlen
from stages.engines.policy import save_policy
from tests.engines.countdown_policy import RENDERER, contents, policy

settings.load_profile("ci")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policies") / "r0"
    save_policy(policy(), RENDERER, folder)
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    for name, content in contents(saved).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture(params=["mask", "segments"])
def packing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to keep texts in a row apart, however short it is."""
    if request.param == "segments":
        monkeypatch.setattr(varlen, "MASKED_ROW_TOKENS", 0)
    return str(request.param)
