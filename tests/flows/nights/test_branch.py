"""A night commits on its own branch, whatever a person checks out meanwhile."""

from datetime import date
from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from flows.nights import branch
from flows.nights.night import Night
from flows.nights.programs import Unfinished
from flows.project import git

TONIGHT = Night(date(2026, 11, 24))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, on the night's branch, with a file that is not committed."""
    monkeypatch.chdir(tmp_path)
    for command in (
        ["init", "--quiet", "--initial-branch", "main"],
        ["config", "user.email", "test@example.com"],
        ["config", "user.name", "Test"],
        ["commit", "--quiet", "--allow-empty", "--message", "begin"],
        ["switch", "--quiet", "--create", TONIGHT.branch],
    ):
        succeed(["git", *command], tmp_path)
    Path("evidence").touch()


def test_what_it_has_is_committed_on_its_branch() -> None:
    assert branch.commit(TONIGHT, "all stages ran", "evidence") == git.git("rev-parse", "HEAD")
    assert git.git("log", "-1", "--format=%s", TONIGHT.branch) == "all stages ran"


@pytest.mark.parametrize("elsewhere", [["main"], ["--detach"], ["--create", "nightly/2026-11-23"]])
def test_on_another_branch_nothing_is_committed(elsewhere: list[str]) -> None:
    before = git.git("rev-parse", "main")
    git.git("switch", "--quiet", *elsewhere)
    with pytest.raises(Unfinished, match="is checked out, and not nightly/2026-11-24"):
        branch.commit(TONIGHT, "all stages ran", "evidence")
    assert git.git("rev-parse", "HEAD", "main").split() == [before, before]
    assert git.changes() == ["evidence"]
