"""Whole nights of a toy project by the command: what is committed, pushed, tagged and printed."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect.logging import disable_run_logger

from fixtures.checkouts import ROOT, succeed
from flows.nights import flow
from flows.nights.night import named as night_of
from flows.nights.programs import Unfinished
from flows.nights.worktree import FOLDER
from tests.flows import toy_night
from tests.flows.toy_night import knowhow

ROUND, BRANCH, RECORD = "n20261124", "nightly/2026-11-24", "data/nights/2026-11-24.json"
PATIENCE_SECONDS = 900.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A project whose stages have run, and the server that saw them, for all these nights."""
    project = toy_night.make_project(tmp_path_factory.mktemp("served") / "project")
    process = toy_night.start(project, "train", "--keep-server")
    assert process.stdout is not None
    line = next((line for line in process.stdout if "stays up at" in line), None)
    assert line, (project / "stderr.txt").read_text()
    page = line.split("stays up at ")[1].split()[0]
    toy_night.save(project)
    yield project, page
    process.kill()
    process.wait()


@pytest.fixture
def project(served: tuple[Path, str], tmp_path: Path) -> Path:
    return toy_night.copy(served[0], tmp_path / "project")


def night(project: Path, page: str, date: str = "2026-11-24") -> subprocess.CompletedProcess[str]:
    return knowhow(project, "nightly", "run", "--server-url", page, "--date", date)


def git(project: Path, *arguments: str) -> str:
    return succeed(["git", *arguments], project).strip()


def record(project: Path) -> dict[str, Any]:
    return json.loads(git(project, "show", f"{BRANCH}:{RECORD}"))


def champion(project: Path) -> str:
    graph = yaml.safe_load(git(project, "show", f"{BRANCH}:dvc.yaml"))
    return graph["artifacts"]["champion"]["path"]


def merged(project: Path) -> Path:
    """The checkout, with what the night made."""
    git(project, "merge", "--quiet", "--ff-only", BRANCH)
    succeed(["dvc", "checkout", "--quiet"], project, **toy_night.environment(project))
    return project


def started(project: Path, page: str) -> subprocess.Popen[str]:
    """A night whose round is at work, until there is a file `over` in the nights' worktree."""
    (project / FOLDER / "started").unlink(missing_ok=True)
    arguments = ("nightly", "run", "--server-url", page, "--date", "2026-11-24")
    process = toy_night.start(project, *arguments)
    end = time.monotonic() + PATIENCE_SECONDS
    while not (project / FOLDER / "started").exists():
        assert process.poll() is None, (project / "stderr.txt").read_text()
        assert time.monotonic() < end
        time.sleep(0.1)
    return process


def subjects(project: Path) -> list[str]:
    return git(project, "log", "--format=%s", f"main..{BRANCH}").splitlines()


def kill(process: subprocess.Popen[str]) -> None:
    """By signal 9; nothing below it outlives it."""
    tree = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(tree, timeout=PATIENCE_SECONDS)[1]


def test_a_better_policy_is_promoted_and_another_clone_gets_it(
    project: Path, served: tuple[Path, str], tmp_path: Path
) -> None:
    done = night(project, served[1])
    assert done.returncode == 0, done.stderr
    assert "night 2026-11-24: promoted, champion is n20261124; expectations: 1 of 1" in done.stdout
    ended = record(project)
    assert (
        ended["verdict"],
        ended["champion_before"],
        ended["champion_after"],
    ) == (
        "promoted",
        "s1",
        ROUND,
    )
    assert [gate["name"] for gate in ended["gates"]] == [
        "expectations",
        "leaks",
        "regression",
        "gain",
    ]
    assert [each["name"] for each in ended["drift"] if not each["is_within"]] == ["forced_frac"]
    assert subjects(project) == [
        "Night 2026-11-24: promoted, champion n20261124",
        "Night 2026-11-24: all stages ran",
        "Night 2026-11-24: begin round n20261124",
    ]
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "branch", "--show-current") == "main"
    assert (project / "dvc.yaml").read_text() == toy_night.GRAPH
    assert git(project, "show", f"{BRANCH}:dvc.yaml") == toy_night.GRAPH.replace(
        "policies/s1", f"policies/{ROUND}"
    ).rstrip("\n")
    assert git(project, "rev-parse", "champion@v2026.11.24^{commit}") == git(
        project, "rev-parse", BRANCH
    )

    git(project, "tag", "--delete", "champion@v2026.11.24")  # as if killed before it
    git(project, "branch", "nightly/2026-11-25", "main")  # and another night begun
    again = night(project, served[1])
    git(project, "branch", "--delete", "--force", "nightly/2026-11-25")
    assert again.returncode == 0
    assert git(project, "tag") == "champion@v2026.11.24"
    assert "night 2026-11-24 is over: promoted" in again.stdout
    assert len(subjects(project)) == 3
    assert [
        line.split()[:5] for line in knowhow(project, "nightly", "show").stdout.splitlines()[1:]
    ] == [["2026-11-24", "promoted", "s1", "->", ROUND]]

    clone = tmp_path / "clone"
    succeed(["git", "clone", "--quiet", "--branch", BRANCH, str(project), str(clone)], tmp_path)
    succeed(
        ["dvc", "remote", "modify", "--local", "local", "url", str(project / ".dvc/remote")], clone
    )
    succeed(["dvc", "artifacts", "get", ".", "champion", "--out", "got"], clone)
    assert json.loads((clone / "got/weights").read_text()) == {"policy": ROUND}
    succeed(["dvc", "pull"], clone)
    assert "0 of 11 stages will run" in knowhow(clone, "plan").stdout
    assert "0 of 11 stages will run" in knowhow(merged(project), "plan").stdout
    assert json.loads((project / f"data/policies/{ROUND}/weights").read_text()) == {"policy": ROUND}


def test_a_shut_gate_keeps_the_champion_and_the_evidence(
    project: Path, served: tuple[Path, str]
) -> None:
    toy_night.save(project, difference=-0.3, leaks=True)
    done = night(project, served[1])
    assert done.returncode == 3
    assert (
        "error: night 2026-11-24: kept, champion is s1; leaks: exam problems are in training data"
        in done.stderr
    )
    assert "difficulty_2 -0.300 [-0.350, -0.250]; difficulty_3" in done.stderr
    assert "Traceback" not in done.stderr
    ended = record(project)
    assert [gate["name"] for gate in ended["gates"] if not gate["is_passed"]] == [
        "leaks",
        "regression",
        "gain",
    ]
    assert champion(project) == "data/policies/s1"
    assert git(project, "tag") == ""
    assert git(project, "status", "--porcelain") == ""
    assert ROUND in yaml.safe_load(git(project, "show", f"{BRANCH}:params.yaml"))["rounds"]
    assert "0 of 11 stages will run" in knowhow(merged(project), "plan").stdout


def test_a_failed_stage_is_reported_and_its_round_withdrawn(
    project: Path, served: tuple[Path, str]
) -> None:
    toy_night.save(project, exit_code=1)
    done = night(project, served[1])
    assert done.returncode == 1
    ended = record(project)
    assert ended["verdict"] == "failed"
    assert ended["stage"] == {
        "name": f"update@{ROUND}",
        "exit_code": 1,
        "error": "error: data is bad",  # and not where the checkout lies
        "log": f"data/.scratch/logs/update@{ROUND}.log",
    }
    assert f"stage update@{ROUND} failed with exit code 1: error: data is bad" in done.stderr
    assert ROUND in git(project, "show", f"{ended['evidence']}:params.yaml")
    assert (project / ended["stage"]["log"]).is_file()
    assert ROUND not in git(project, "show", f"{BRANCH}:params.yaml")
    assert git(project, "status", "--porcelain") == ""
    # The next night starts from what is sound.
    assert "0 of 8 stages will run" in knowhow(merged(project), "plan").stdout


def test_a_night_that_is_killed_goes_on(project: Path, served: tuple[Path, str]) -> None:
    toy_night.save(project, exit_code=75)
    done = night(project, served[1])
    assert done.returncode == 75
    assert "start the night again: it goes on" in done.stderr
    other = knowhow(project, "nightly", "preflight", "--date", "2026-11-25")
    assert other.returncode == 2
    assert "error: night 2026-11-24 is unfinished" in other.stderr

    toy_night.save(project / FOLDER, waits=True)
    process = started(project, served[1])
    kill(process)

    (project / FOLDER / "over").touch()
    (project / FOLDER / RECORD).parent.mkdir(exist_ok=True)
    (project / FOLDER / RECORD).write_text(
        json.dumps({"verdict": "failed"})
    )  # as if killed before its last commit
    git(project / FOLDER, "add", RECORD)
    done = knowhow(
        project, "nightly", "run", "--server-url", served[1]
    )  # without a date: what was stopped goes on
    assert done.returncode == 0, done.stderr
    assert record(project)["verdict"] == "promoted"
    assert git(project, "rev-parse", "champion@v2026.11.24^{commit}") == git(
        project, "rev-parse", BRANCH
    )
    assert [subject for subject in subjects(project) if "person" not in subject] == [
        "Night 2026-11-24: promoted, champion n20261124",
        "Night 2026-11-24: all stages ran",
        "Night 2026-11-24: begin round n20261124",
    ]


def test_the_work_is_done_by_the_code_of_the_worktree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is installed, and whatever the person's own PYTHONPATH has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for folder in ("stages", "flows", "flows/nights"):
        (FOLDER / folder).mkdir(parents=True)
        (FOLDER / folder / "__init__.py").touch()
    code = "import stages, sys; print(__file__, stages.__file__, file=open(sys.argv[2], 'w'))"
    (FOLDER / "flows/nights/work.py").write_text(f"{code}; sys.exit(75)")
    (FOLDER.parent / "logs").mkdir()
    with disable_run_logger(), pytest.raises(Unfinished) as stopped:
        flow.hand_over(night_of("2026-11-24", "UTC"))
    assert str(stopped.value).split() == [
        str(tmp_path / FOLDER / "flows/nights/work.py"),
        str(tmp_path / FOLDER / "stages/__init__.py"),
    ]


def test_what_is_in_the_way_is_said_at_once_and_nothing_begins(
    project: Path, served: tuple[Path, str]
) -> None:
    (project / "notes.txt").touch()
    (project / "knobs.json").write_text("{}")
    text = (project / "nightly.yaml").read_text()
    (project / "nightly.yaml").write_text(text.replace("recipe: sampled", "recipe: none"))
    done = night(project, served[1])
    assert done.returncode == 2
    assert "2 thing(s) are in the way" in done.stderr
    assert "- the tree has 3 uncommitted change(s), first knobs.json" in done.stderr
    assert "- params.yaml has no recipe none; choose from ['information', 'sampled']" in done.stderr
    assert git(project, "branch") == "* main"


def test_disturbed_or_killed_a_night_ends_with_the_same_commits(
    project: Path, served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
        monkeypatch.setenv(name, "1795485600 +0000")  # dulwich reads no other form
    toy_night.save(project, waits=True)
    other = toy_night.copy(project, tmp_path / "killed")
    processes = [started(each, served[1]) for each in (project, other)]
    left = disturb(project)
    kill(processes[1])
    processes[1] = started(other, served[1])
    for each, process in zip((project, other), processes, strict=True):
        (each / FOLDER / "over").touch()
        process.communicate()
        assert process.returncode == 0, (each / "stderr.txt").read_text()

    ends = [
        git(each, "rev-parse", "main", f"{BRANCH}~1", f"{BRANCH}~2") for each in (project, other)
    ]
    assert ends[0] == ends[1]
    assert files_at_end(project) == files_at_end(other)
    records = [record(each) for each in (project, other)]
    for each in records:
        assert each.pop("seconds") > 0
    assert records[0] == records[1]
    assert git(project, "branch", "--show-current") == "of-a-person"
    assert left == git(project, "status", "--porcelain")


def disturb(project: Path) -> str:
    """Another branch, edits, files deleted, and a git that was killed; what git says of it."""
    git(project, "switch", "--quiet", "--create", "of-a-person")
    git(project, "commit", "--quiet", "--allow-empty", "--message", "as a person likes it")
    for name in ("toy.py", "lineage/__main__.py", "params.yaml", "nightly.yaml"):
        (project / name).write_text("of a person")
    for name in ("dvc.lock", "dvc.yaml", "knobs.json"):
        (project / name).unlink()
    for name in ("policies", "exams", "metrics"):
        shutil.rmtree(project / "data" / name)
    left = git(project, "status", "--porcelain")
    (project / ".git/index.lock").touch()
    return left


def files_at_end(project: Path) -> str:
    """All files of the night's last commit but its record."""
    listed = git(project, "ls-tree", "-r", BRANCH).splitlines()
    return "\n".join(line for line in listed if not line.endswith(RECORD))
