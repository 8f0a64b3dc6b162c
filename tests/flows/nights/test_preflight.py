"""Each thing that can prevent a night, one at a time, in a toy project."""

import fcntl
import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import modify_yaml

from fixtures.checkouts import succeed
from flows.nights import night, preflight, settings, worktree
from flows.nights.night import Night
from flows.project import git
from flows.project.paths import PARAMS
from flows.running import stage
from stages.engines import device
from tests.flows import toy_night
from tests.update.by_hand import OBJECTIVES

pytestmark = pytest.mark.filterwarnings(
    "ignore:_NoneStep:DeprecationWarning"
)  # DVC's, of its own trie
TONIGHT = Night(date(2026, 11, 24))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = toy_night.make_project(tmp_path_factory.mktemp("finished"))
    succeed(["dvc", "repro", "--quiet"], project)
    toy_night.save(project)
    return project


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a project that a night can begin in."""
    project = toy_night.copy(finished, tmp_path / "project")
    monkeypatch.chdir(project)
    monkeypatch.setenv("KNOWHOW_DEVICE", "cpu")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return project


def obstacles(**changed: Any) -> list[str]:
    """Of tonight, by settings some of which are other ones than the project's."""
    wanted = settings.load().model_copy(update=changed)
    return preflight.obstacles(night.planned(wanted, TONIGHT))


def end(date: str, **record: str) -> None:
    """A night's end, in the nights' worktree."""
    worktree.check_out(f"nightly/{date}", git.git("rev-parse", "HEAD"))
    file = worktree.FOLDER / f"data/nights/{date}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(record))
    git.git("add", str(file.absolute()), folder=worktree.FOLDER)
    git.git("commit", "--quiet", "--message", "over", folder=worktree.FOLDER)
    worktree.release(f"nightly/{date}")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_nothing_is_in_the_way_and_looking_changes_nothing(project: Path) -> None:
    before = sorted(
        path for path in project.rglob("*") if ".git" not in path.parts and "tmp" not in path.parts
    )
    assert obstacles() == []
    after = sorted(
        path for path in project.rglob("*") if ".git" not in path.parts and "tmp" not in path.parts
    )
    made = {str(path.relative_to(project)) for path in {*after} - {*before}}
    assert made <= {"data/.scratch", "data/.scratch/run.lock", ".dvc/remote"}
    assert git.branch() == "main"


def test_a_dirty_tree(project: Path) -> None:
    (project / "knobs.json").write_text("{}")
    (project / "notes.txt").touch()
    assert obstacles() == [
        "the tree has 2 uncommitted change(s), first knobs.json; commit or remove them"
    ]


def test_edits_here_are_nothing_to_a_night_that_goes_on(project: Path) -> None:
    git.git("branch", TONIGHT.branch)
    (project / "toy.py").write_text("")
    assert obstacles() == []


def test_a_branch_that_a_person_has_checked_out(project: Path) -> None:
    git.git("switch", "--quiet", "--create", TONIGHT.branch)
    assert obstacles() == [
        f"nightly/2026-11-24 is checked out in {project}, and the night needs it in a worktree of "
        "its own; `git switch --detach` there"
    ]
    git.git("switch", "--quiet", "--detach")
    assert obstacles() == []


def test_a_worktree_that_is_gone_and_locked(project: Path) -> None:
    end("2026-11-22", verdict="kept")
    git.git("worktree", "lock", str(worktree.FOLDER))
    assert obstacles() == []
    shutil.rmtree(worktree.FOLDER)
    assert obstacles() == [
        "the nights' worktree data/.scratch/knowhow-night is gone or spoilt, and locked (no "
        "reason); `git worktree unlock data/.scratch/knowhow-night`"
    ]


def test_a_promotion_that_is_not_here(project: Path) -> None:
    end("2026-11-22", verdict="promoted", champion_after="n20261122")
    assert obstacles() == []  # the night begins there
    git.git("commit", "--quiet", "--allow-empty", "--message", "a person goes on")
    assert obstacles() == [
        "night 2026-11-22 made n20261122 champion, and what is checked out here does not have that "
        "night; `git merge nightly/2026-11-22`"
    ]
    end("2026-11-23", verdict="kept")
    assert len(obstacles()) == 1
    git.git("merge", "--quiet", "--no-edit", "nightly/2026-11-22")
    assert obstacles() == []


def test_a_recipe_with_a_control(project: Path) -> None:
    """No champion comes of credit that tells nothing."""
    recipe = settings.load().recipe
    with modify_yaml(PARAMS) as params:
        update = params["recipes"][recipe]["update"]
        update["objective"] = OBJECTIVES["information"]
        update["control"] = "shuffled"
    git.commit("a control", str(PARAMS))
    assert obstacles() == [
        f"recipe {recipe} has update.control shuffled: such an arm is for comparison, and no "
        "champion comes of it; name another recipe in nightly.yaml"
    ]


def test_nobody_to_commit_as(project: Path) -> None:
    git.git("config", "--unset", "user.email")
    assert obstacles() == [
        "git has no name to commit under; set user.name and user.email with `git config`"
    ]


def test_another_run(project: Path) -> None:
    with stage.exclusive():
        (obstacle,) = obstacles()
    assert obstacle.startswith("another run is at work in this checkout")


def test_a_busy_accelerator(project: Path) -> None:
    assert (preflight.DEVICE, preflight.CPU_LOCK, preflight.GPU_NODE) == (
        device.DEVICE,
        device.CPU_LOCK,
        device.GPU_NODE,
    )
    with device.exclusive_device("a test"):
        (obstacle,) = obstacles()
    assert obstacle == (
        "another job holds the accelerator; see which with "
        "`fuser -v data/.scratch/device.lock`, and let it end"
    )
    with device.CPU_LOCK.open("rb") as lock:  # a look does not keep the lock
        assert obstacles() == []
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_too_little_disk(project: Path) -> None:
    with modify_yaml("dvc.lock") as lock:
        (policy,) = (
            out for out in lock["stages"]["update@s1"]["outs"] if out["path"] == "data/policies/s1"
        )
        policy["size"] = 2**60
    git.commit("a policy of an exbibyte", "dvc.lock")
    (obstacle,) = obstacles()
    assert obstacle.endswith("GiB of disk are free, a night may need 6442450944.00; free some")


def test_another_night_that_is_unfinished(project: Path) -> None:
    worktree.check_out("nightly/2026-11-23", git.git("rev-parse", "HEAD"))
    assert obstacles() == [
        "night 2026-11-23 is unfinished; go on with it by `knowhow nightly run --date 2026-11-23`, "
        "or leave it with `git worktree remove --force data/.scratch/knowhow-night`"
    ]
    end("2026-11-23", verdict="kept")
    assert obstacles() == []
    worktree.check_out("nightly/2026-11-22", git.git("rev-parse", "HEAD"))
    assert len(obstacles()) == 1
    git.git("worktree", "remove", "--force", "data/.scratch/knowhow-night")
    assert obstacles() == []


def test_no_champion(project: Path) -> None:
    edit(project / "dvc.yaml", "policies/s1", "policies/s9")
    git.commit("unknown", "dvc.yaml")
    (obstacle,) = obstacles()
    assert obstacle.startswith(
        "artifacts.champion.path of dvc.yaml is data/policies/s9, which is no policy of params.yaml"
    )
    (project / "dvc.yaml").write_text(toy_night.GRAPH.replace("policies/s1", "exams/s1"))
    git.commit("of another kind", "dvc.yaml")
    assert "data/exams/s1, which is no policy of params.yaml" in obstacles()[0]
    (project / "dvc.yaml").write_text(toy_night.GRAPH.split("artifacts:")[0])
    git.commit("none", "dvc.yaml")
    assert obstacles() == [
        "dvc.yaml names no champion; give artifacts.champion.path the folder of a policy"
    ]


def test_a_champion_that_is_nowhere(project: Path) -> None:
    shutil.rmtree(project / "data/policies/s1")
    assert obstacles() == []  # the cache has it
    succeed(["dvc", "push", "--quiet"], project)
    shutil.rmtree(project / ".dvc/cache")
    assert obstacles() == []  # the remote has it
    shutil.rmtree(project / ".dvc/remote")
    (obstacle,) = obstacles()
    assert obstacle.startswith(
        "the champion data/policies/s1 is neither here, nor in the cache, nor in the remote"
    )


def test_a_round_that_cannot_be(project: Path) -> None:
    assert obstacles(recipe="none") == [
        "params.yaml has no recipe none; choose from ['information', 'sampled']"
    ]
    assert obstacles(judge="j1") == [
        "params.yaml has no judge j1; choose from ['exact'] in nightly.yaml"
    ]


def test_a_remote_that_is_none_takes_any_bytes_or_none_at_all(project: Path) -> None:
    (obstacle,) = obstacles(remote="elsewhere")
    assert "elsewhere" in obstacle
    assert "`dvc remote list` shows what there is" in obstacle
    config = project / ".dvc/config"
    for old, new, said in (
        (
            "verify = true",
            "verify = false",
            "DVC takes any bytes from remote local; set `dvc remote modify local verify",
        ),
        ("url = remote", "url = file/remote", "remote local takes no file: "),
        (
            "remote = local",
            "",
            "DVC has no default remote; add one with `dvc remote add --default NAME URL`",
        ),
    ):
        text = config.read_text()
        (project / ".dvc/file").touch()  # where a folder would have to be
        config.write_text(text.replace(old, new))
        git.commit("another remote", ".dvc")
        (obstacle,) = obstacles()
        assert obstacle.startswith(said)
        config.write_text(text)
        git.commit("back", ".dvc")


def test_a_key_that_is_missing_or_in_the_checkout(project: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    assert obstacles(signing_key=key) == [
        f"signing_key {key} of nightly.yaml is missing; make one, or set null"
    ]
    key.touch()
    assert obstacles(signing_key=key) == []
    inside = project / ".venv/key.pem"
    inside.parent.mkdir(exist_ok=True)
    inside.touch()
    assert obstacles(signing_key=inside) == [
        f"signing_key {inside} of nightly.yaml lies in the checkout; move it out"
    ]


def test_all_is_said_at_once(project: Path) -> None:
    (project / "notes.txt").touch()
    with device.exclusive_device("a test"):
        assert len(obstacles(recipe="none", signing_key=Path("/nowhere"))) == 4


def test_secrets_that_all_can_read(project: Path) -> None:
    secrets, said = project / ".dvc/config.local", "others can read .dvc/config.local"
    secrets.write_text("['remote \"far\"']\n    url = ssh://me:secret@host/x\n")
    secrets.chmod(0o644)
    assert [each for each in obstacles() if each.startswith(said)]
    secrets.chmod(0o600)
    assert not [each for each in obstacles() if each.startswith(said)]
