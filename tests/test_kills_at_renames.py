"""A stage that is killed just before or just after anything gets its name, run again.

By signal 9, from inside, at each rename of a file or folder that is or becomes an output, or is
unfinished work: between two outputs of one stage too. Then the same command leaves the bytes that
an undisturbed one leaves, and nothing half-written.
"""

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from flows.running import graph

STAGES = ("code", "prepare", "score@i1", "infogain@i1", "evaluate@s1", "compare", "report")
DRIVER = """
import hashlib, importlib, json, os, pathlib, runpy, shutil, signal, sys

outs, module, arguments = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3:]
importlib.import_module(module)
try:
    importlib.import_module(f"{module}.__main__")
except ModuleNotFoundError:
    pass
count = 0


def counted(name, at, is_before):
    rename = getattr(pathlib.Path, name)

    def counting(self, target):
        global count
        count += 1
        if count == at and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        renamed = rename(self, target)
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed

    setattr(pathlib.Path, name, counting)


def run(at=0, is_before=False):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    counted("rename", at, is_before)
    counted("replace", at, is_before)
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        assert not error.code, error.code
    pathlib.Path("count").write_text(str(count))
    os._exit(0)


def digests():
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(pathlib.Path("data").rglob("*"))
        if path.is_file() and not path.name.endswith(".run.json") and "docs" not in path.parts
    }


def clear():
    for out in map(pathlib.Path, outs):
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)


clear()
assert run() == 0
undisturbed, total = digests(), int(pathlib.Path("count").read_text())
said = []
for at in range(1, total + 1):
    for is_before in (True, False):
        clear()
        killed = run(at, is_before)
        again = run()
        same = digests() == undisturbed
        left = [str(path) for path in pathlib.Path("data").rglob("*.tmp")]
        said.append([at, is_before, killed, again, same, left])
print(json.dumps({"outputs": undisturbed, "kills": said}))
"""
SIGKILL, ENDED = 9, 0


@pytest.fixture(scope="module")
def project(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished checkout, whose files are its own."""
    folder = tmp_path_factory.mktemp("renames") / "project"
    left_out = shutil.ignore_patterns(".git", "cache", ".scratch")
    return Path(shutil.copytree(finished, folder, ignore=left_out))


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_at_any_rename_changes_no_byte(
    stage: str, project: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    (step,) = (step for step in graph.steps([stage]) if step.name == stage)
    words = shlex.split(step.command.splitlines()[-1])
    command = words[words.index("-m") + 1 :]
    driven = [sys.executable, "-c", DRIVER, json.dumps(step.outs), *command]
    there = os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])
    printed = succeed(driven, project, PYTHONPATH=there, PYTHONHASHSEED="0")
    said = json.loads(next(line for line in printed.splitlines() if line.startswith("{")))

    assert len(said["kills"]) >= 2 * len(step.outs)
    for at, is_before, killed, again, is_same, left in said["kills"]:
        when = f"killed {'before' if is_before else 'after'} rename {at}"
        assert (killed, again, is_same, left) == (SIGKILL, ENDED, True, []), when
