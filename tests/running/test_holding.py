"""A step fails where what it was given moved, and then leaves nothing to record."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.checkouts import run as run_command
from fixtures.checkouts import succeed

ROOT = Path(__file__).parents[2]
STEP = """
import os, runpy, sys, time
from pathlib import Path
from stages.contracts.params.base import read_section
from stages.running.errors import BadInput, command
from stages.running.publish import atomic, write_json

def main(table: Path, out: Path, params_file: Path = Path("params.yaml")) -> None:
    read_section(params_file, "own.rate", float)
    words = [file.read_text() for file in sorted(table.iterdir())]
    if "EARLY" in os.environ:
        write_json(out, {"words": words})
    exec(os.environ["MEANWHILE"])
    if "EARLY" not in os.environ:
        write_json(out, {"words": words})

command(main, writes=("out",))
"""
EARLY, LATE = f"import os; os.environ['EARLY'] = ''\n{STEP}", STEP


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree with the code that steps share, a table, a listing of code, and two sections."""
    ignored = shutil.ignore_patterns("__pycache__", "tasks", "verifiers", "engines", "validate")
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=ignored)
    (tmp_path / "table").mkdir()
    (tmp_path / "table/part").write_text("one")
    (tmp_path / "params.yaml").write_text("own: {rate: 0.5}\nother: {rate: 1.0}\n")
    return tmp_path


def listing(folder: Path, *more: str) -> Path:
    """A listing of some code that the step loads, and of more."""
    script = """
import json, sys
from pathlib import Path
from stages.running.sources import listed_digest
names = sys.argv[1:]
print(json.dumps({name: listed_digest(name, Path(name).read_bytes()) for name in names}))
"""
    names = ["stages/__init__.py", "stages/running/publish.py", *more]
    done = subprocess.run(
        [sys.executable, "-c", script, *names], cwd=folder, capture_output=True, check=True
    )
    (folder / "listing.json").write_bytes(done.stdout)
    return folder / "listing.json"


def run(
    folder: Path, meanwhile: str = "", code: str = LATE, *more: str
) -> subprocess.CompletedProcess[str]:
    """Run the step, with something done while it works."""
    command = [sys.executable, "-c", code, "--table", "table", "--out", "out.json", *more]
    environment = {**os.environ, "MEANWHILE": meanwhile, "PYTHONPATH": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def need_moved(done: subprocess.CompletedProcess[str], what: str, folder: Path) -> None:
    assert done.returncode == 75, done.stderr
    assert done.stderr.startswith("error: changed while this step ran")
    assert what in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "out.json").exists()
    assert not list(folder.glob(".*.tmp"))


def test_undisturbed_it_publishes(folder: Path) -> None:
    done = run(folder, "", LATE, "--code", str(listing(folder)))
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "out.json").read_text()) == {"words": ["one"]}


PART = "Path('table/part')"
MOVES = {
    "edited": f"{PART}.write_text('two')",
    "edited and back": f"{PART}.write_text('two'); {PART}.write_text('one')",
    "replaced by the same": f"{PART}.unlink(); time.sleep(.01); {PART}.write_text('one')",
    "deleted": f"{PART}.unlink()",
    "all deleted": f"{PART}.unlink(); Path('table').rmdir()",
    "added to": "Path('table/more').write_text('')",
    "renamed": f"{PART}.rename('table/other')",
}


@pytest.mark.parametrize("code", [EARLY, LATE], ids=["published before", "published after"])
@pytest.mark.parametrize("meanwhile", MOVES.values(), ids=MOVES)
def test_an_input_that_moves_is_noticed(meanwhile: str, code: str, folder: Path) -> None:
    need_moved(run(folder, meanwhile, code), "table", folder)


def test_a_step_that_fails_of_a_move_fails_by_it(folder: Path) -> None:
    for code in (EARLY, LATE):
        done = run(folder, f"{PART}.unlink(); raise BadInput('table is corrupt')", code)
        need_moved(done, "table", folder)
        (folder / "table/part").write_text("one")
    assert run(folder, "raise BadInput('of its own')").returncode == 2


@pytest.mark.parametrize("name", ["table/.part.1.tmp", "table/out.run.json"])
def test_what_dvc_leaves_out_may_come_and_go(name: str, folder: Path) -> None:
    assert run(folder, f"Path({name!r}).write_text('')").returncode == 0


EDIT = "Path('params.yaml').write_text({!r})"


@pytest.mark.parametrize("code", [EARLY, LATE], ids=["published before", "published after"])
@pytest.mark.parametrize(
    "text", ["own: {rate: 0.7}\n", "own: {}\n", "other: 1\n", "own: {rate: [", ""]
)
def test_a_section_that_was_read_must_stay(text: str, code: str, folder: Path) -> None:
    need_moved(run(folder, EDIT.format(text), code), "params.yaml: own.rate", folder)


@pytest.mark.parametrize(
    "text",
    [
        "own: {rate: 0.5}\nother: {rate: 2.0}\n",
        "own: {rate: 0.5, more: 1}\n",
        "# a comment\nown:\n  rate: 5.0e-1\n",
    ],
)
def test_another_section_may_change(text: str, folder: Path) -> None:
    assert run(folder, EDIT.format(text)).returncode == 0


def append(name: str, text: str) -> str:
    return f"open({name!r}, 'a').write({text!r})"


SHARED, ALONE = "stages/running/publish.py", "stages/pure/credit.py"
EDITED = "\nEDITED = 1\n"


def test_code_edited_before_it_is_loaded_is_noticed_at_once(folder: Path) -> None:
    """And edited back when the step is at work: what counts is what was loaded."""
    listed, honest = listing(folder), (folder / SHARED).read_text()
    (folder / SHARED).write_text(honest + EDITED)
    done = run(
        folder, f"Path({SHARED!r}).write_text({honest!r}); 1 / 0", LATE, "--code", str(listed)
    )
    need_moved(done, SHARED, folder)
    assert (folder / SHARED).read_text() == honest + EDITED


@pytest.mark.parametrize("code", [EARLY, LATE], ids=["published before", "published after"])
@pytest.mark.parametrize("name", [SHARED, ALONE], ids=["loaded", "not loaded"])
def test_code_that_is_edited_meanwhile_is_noticed(name: str, code: str, folder: Path) -> None:
    listed = listing(folder, ALONE)
    need_moved(run(folder, append(name, EDITED), code, "--code", str(listed)), name, folder)


def test_code_loaded_late_is_held_as_it_was_loaded(folder: Path) -> None:
    listed, honest = listing(folder, ALONE), (folder / ALONE).read_text()
    meanwhile = f"""
{append(ALONE, EDITED)}
import stages.pure.credit
assert stages.pure.credit.EDITED
Path({ALONE!r}).write_text({honest!r})
"""
    need_moved(run(folder, meanwhile, LATE, "--code", str(listed)), ALONE, folder)


def test_a_comment_in_code_that_is_loaded_moves_nothing(folder: Path) -> None:
    listed = listing(folder)
    done = run(folder, append(SHARED, "# a comment\n"), LATE, "--code", str(listed))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ["{}", "[]", "no json", None])
def test_a_listing_that_moves_is_noticed(text: str | None, folder: Path) -> None:
    listed = listing(folder)
    change = "unlink()" if text is None else f"write_text({text!r})"
    done = run(folder, f"Path({str(listed)!r}).{change}", LATE, "--code", str(listed))
    need_moved(done, "listing.json", folder)


def test_a_listing_that_is_none_is_refused(folder: Path) -> None:
    (folder / "listing.json").write_text("[1]")
    need_moved(run(folder, "", LATE, "--code", "listing.json"), "listing.json", folder)


def test_without_a_listing_code_must_be_what_was_loaded(folder: Path) -> None:
    code = f"import stages.running.publish\n{append(SHARED, EDITED)}.real\n{LATE}"
    need_moved(run(folder, "", code), SHARED, folder)


# Through DVC: what it writes down, and what its run cache would hand on.

GRAPH = """
stages:
  own:
    cmd: python step.py --table table --out out.json --code listing.json
    params: [own.rate]
    deps: [listing.json, table]
    outs: [out.json]
"""
OTHERS = {
    "params": EDIT.format("own: {rate: 0.7}\nother: {rate: 1.0}\n"),
    "input": MOVES["edited"],
    "input and back": MOVES["edited and back"],
    "code": append(SHARED, EDITED),
    "git checkout": "os.system('git checkout --quiet other')",
}


@pytest.fixture
def project(folder: Path) -> Path:
    """The same as a project of one stage that has run, with another rate on another branch."""
    listing(folder)
    (folder / "step.py").write_text(STEP)
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / ".gitignore").write_text("__pycache__\n/site\n")
    for command in (
        "git init --quiet --initial-branch main",
        "git config user.email a@b",
        "git config user.name a",
        "dvc init --quiet",
        "dvc config cache.type copy",
    ):
        succeed(command.split(), folder)
    repro(folder, "")
    for branch, rate in (("main", 0.5), ("other", 0.9), ("begun", 0.6)):
        if branch != "main":
            succeed(["git", "switch", "--quiet", "--create", branch], folder)
        text = f"own: {{rate: {rate}}}\nother: {{rate: 1.0}}\n"
        (folder / "params.yaml").write_text(text)
        succeed(["git", "add", "--all"], folder)
        succeed(["git", "commit", "--quiet", "--allow-empty", "--message", branch], folder)
    return folder


def repro(folder: Path, meanwhile: str) -> subprocess.CompletedProcess[str]:
    changes = {"MEANWHILE": meanwhile, "PYTHONPATH": str(folder)}
    return run_command(["dvc", "repro"], folder, DVC_SITE_CACHE_DIR=str(folder / "site"), **changes)


def recorded(folder: Path) -> tuple[bytes, list[str]]:
    """What DVC has written down: its record, and the runs that it would hand on."""
    runs = sorted(str(path) for path in (folder / ".dvc/cache/runs").rglob("*"))
    return (folder / "dvc.lock").read_bytes(), runs


@pytest.mark.parametrize("meanwhile", OTHERS.values(), ids=OTHERS)
def test_dvc_records_nothing_of_a_run_that_did_not_happen(meanwhile: str, project: Path) -> None:
    before = recorded(project)
    done = repro(project, meanwhile)
    assert "exited with 75" in done.stderr
    assert recorded(project) == before
    assert not (project / "out.json").exists()
    succeed(["git", "checkout", "--quiet", "--force", "begun"], project)
    (project / "table/part").write_text("one")
    assert repro(project, "").returncode == 0
    assert recorded(project)[0] != before[0]
