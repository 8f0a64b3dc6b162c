"""A chain in one process, killed and gone on with, leaves what `dvc repro` does."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.chain import (
    DONE,
    Step,
    borrow,
    find_lender,
    parse,
    read_steps,
    scored_rounds,
    told,
)
from fixtures.checkouts import PROFILES, environment, run, succeed
from stages.running.errors import BadInput
from tests.test_end_to_end import digests

CHAIN = [sys.executable, "-m", "experiments.chain", "--targets"]
WHOLE = [*CHAIN, "report"]
POLL_SECONDS = 0.05
SEEDED = {"PYTHONHASHSEED": "0"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the checkout of a chain among siblings."""
    checkout = tmp_path / "chains" / "one"
    checkout.mkdir(parents=True)
    monkeypatch.chdir(checkout)
    return checkout


@pytest.fixture(scope="module")
def untouched(checkout: Callable[[str], Path]) -> Path:
    """A checkout in which nothing has run."""
    return checkout("tiny")


def results(folder: Path) -> dict[str, str]:
    """Digests of all results, by path; the marks of steps are none."""
    return {
        name: value for name, value in digests(folder).items() if not name.startswith(str(DONE))
    }


def marks(folder: Path) -> dict[str, int]:
    """When each step was done, by its name."""
    return {mark.name: mark.stat().st_mtime_ns for mark in (folder / DONE).glob("[!.]*")}


def test_a_command_is_a_module_and_its_arguments() -> None:
    assert parse("python -m stages.score --round-id 'c 1'", {}) == (
        "stages.score",
        ["--round-id", "c 1"],
    )
    of_package = "env PYTHONHASHSEED=0 python -m stages.update --code data/code/update.json"
    assert parse(of_package, SEEDED)[0] == "stages.update.__main__"


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("env PYTHONHASHSEED=0 python -m stages.prepare", "wants PYTHONHASHSEED=0"),
        ("rm -r data", "is not `python -m MODULE"),
        ("python -m", "is not `python -m MODULE"),
    ],
)
def test_a_command_of_another_kind_is_refused(line: str, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        parse(line, {})


def test_a_digest_follows_what_a_step_reads_and_the_steps_before(
    untouched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clone"
    shutil.copytree(untouched, folder)
    monkeypatch.chdir(folder)
    before = {step.name: step.digest for step in read_steps(["evaluate@s1"])}
    text = Path("params.yaml").read_text()
    assert "gain: progress" in text
    Path("params.yaml").write_text(text.replace("alpha: 1.0", "alpha: 0.5"))
    after = {step.name: step.digest for step in read_steps(["evaluate@s1"])}
    changed = {name for name in before if before[name] != after[name]}
    assert "rollout@i1" in before
    assert "update@i1" in changed
    assert "rollout@s1" in changed
    assert changed.isdisjoint({"code", "prepare", "sft@r0", "rollout@i1", "validate@i1"})
    succeed(["git", "commit", "--quiet", "--all", "--message", "other code"], folder)
    assert all(step.digest != after[step.name] for step in read_steps(["sft"]))


def test_an_unknown_target_is_bad_input(untouched: Path) -> None:
    done = run([*CHAIN, "no_such_stage"], untouched, **SEEDED)
    assert done.returncode == 2
    assert "no_such_stage" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_step_is_done_while_its_digest_and_its_files_stay(here: Path) -> None:
    step = Step("prepare", "python -m stages.prepare", ["data/problems", "data/format"], "digest")
    assert not step.is_done(here)
    step.mark()
    assert not step.is_done(here)
    for out in step.outs:
        Path(out).mkdir(parents=True)
    assert step.is_done(here)
    assert not step._replace(digest="another").is_done(here)


def test_what_a_sibling_has_done_is_linked(here: Path) -> None:
    step = Step("sft@r0", "python -m stages.sft", ["data/policies/r0", "data/sft.json"], "digest")
    sibling = here.parent / "other"
    for name in ("data/policies/r0/model.safetensors", "data/sft.json"):
        (sibling / name).parent.mkdir(parents=True, exist_ok=True)
        (sibling / name).write_text(name)
    assert find_lender(step, [here.parent]) is None
    (sibling / DONE).mkdir()
    (sibling / DONE / step.name).write_text("another")
    assert find_lender(step, [here.parent]) is None
    (sibling / DONE / step.name).write_text("digest")
    assert find_lender(step, []) is None
    assert find_lender(step, [here.parent]) == sibling
    borrow(step, sibling)
    assert results(here) == results(sibling)
    assert Path("data/sft.json").samefile(sibling / "data/sft.json")


def summary(success: float) -> dict[str, float]:
    return {"reward": success, "success": success, "success_stderr": 0.02}


def test_a_round_is_told_with_the_rounds_of_its_own_chain(here: Path) -> None:
    shutil.copy(PROFILES / "tiny.yaml", "params.yaml")
    steps = []
    for name, success in (("i1", 0.5), ("s1", 0.9)):
        out = Path(f"data/{name}.json")
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps(summary(success)))
        steps.append(Step(f"score@{name}", "", [f"data/{name}.parquet", str(out)], ""))
    assert scored_rounds(steps, "i1") == {"i1": summary(0.5)}


def test_a_chain_that_falls_says_so() -> None:
    """From .6 by .1 with a standard error of .028: z = 3.5, p = 2 times .0002."""
    course = {"i1": summary(0.55), "i2": summary(0.6), "i3": summary(0.5)}
    assert told(course) == "reward 0.500, success 0.500, falling from 0.600 (p = 0.00041)"
    assert told({"i2": summary(0.6), "i3": summary(0.57)}) == "reward 0.570, success 0.570"
    assert told({"i1": summary(0.5)}) == "reward 0.500, success 0.500"


def test_killed_and_gone_on_with_it_leaves_what_dvc_does(
    finished: Path, checkout: Callable[[str], Path], warm: dict[str, str], tmp_path: Path
) -> None:
    """Two chains: the second takes over what both begin with, which is all there is."""
    chain = checkout("tiny")
    sibling = tmp_path / "siblings" / "other"
    shutil.copytree(chain, sibling)
    kill_after("score@i1", chain, warm)
    begun = marks(chain)
    said = succeed(WHOLE, chain, **SEEDED, **warm)
    assert results(chain) == results(finished)
    assert begun.items() <= marks(chain).items(), "a finished step ran again"
    assert [line.split(":")[0] for line in said.splitlines() if ", success 0." in line] == [
        "i1",
        "s1",
    ]

    chain.rename(sibling.parent / "first")
    said = succeed([*WHOLE, "--siblings", str(sibling.parent)], sibling, **SEEDED, **warm)
    assert results(sibling) == results(finished)
    assert "python -m stages" not in said, "a step ran that another chain has done"


def kill_after(name: str, folder: Path, warm: dict[str, str]) -> None:
    """Start a chain, and kill -9 it when it has done a step."""
    with subprocess.Popen(
        WHOLE, cwd=folder, env=environment(**SEEDED, **warm), start_new_session=True
    ) as process:
        while name not in marks(folder):
            assert process.poll() is None, f"it ended before {name}"
            time.sleep(POLL_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
