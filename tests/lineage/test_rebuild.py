"""A policy made anew in a clean clone, for real once; the verdicts on trees changed by hand."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from safetensors.numpy import load_file, save_file

from lineage.audit import open_audit
from lineage.errors import AuditError
from lineage.rebuild import compare, rebuild, run, text
from lineage.store import digests, folder_list, folder_members
from lineage.tree import open_tree
from tests.conftest import ROOT, succeed
from tests.lineage.forging import PART

LOCK = "dvc.lock"
WEIGHTS = "model.safetensors"
NUM_PROCESSES = 4
"""Guard, warm start and its server, DVC."""
POLL_SECONDS, PATIENCE_SECONDS = 0.05, 120


@pytest.fixture
def without_exam(copy: Path) -> Path:
    """A project whose r0 sat no exam: three steps, the cheapest policy there is."""
    lock = (copy / LOCK).read_text()
    for step in ("examine@r0", "evaluate@r0"):
        lock = re.sub(rf"^  {step}:\n.*?(?=^  \S)", "", lock, flags=re.MULTILINE | re.DOTALL)
    (copy / LOCK).write_text(lock)
    succeed(["git", "commit", "--quiet", "--all", "--message", "no exam of r0"], copy)
    return copy


def relock(folder: Path, path: str) -> None:
    """Write an output's new digest wherever dvc.lock names it, as if a step had written it so."""
    known = next(
        out
        for step in open_audit(folder, None).graph.steps.values()
        for out in step.outs
        if out.path == path
    )
    members = folder_members(open_tree(folder), path)
    if members is None:
        new = digests((folder / path).open("rb")).md5
    else:
        lies = folder / ".dvc/cache/files/md5"
        content = folder_list(members)
        new = f"{md5_of(content)}.dir"
        (lies / new[:2]).mkdir(exist_ok=True)
        (lies / new[:2] / new[2:]).write_bytes(content)
    (folder / LOCK).write_text((folder / LOCK).read_text().replace(known.md5, new))


def md5_of(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def change(path: Path, write: Callable[[Path], None]) -> None:
    """Change a file that may be a link into the cache."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    write(path)


def nudge(folder: Path, policy: str, by: float) -> None:
    def shift(path: Path) -> None:
        tensors = load_file(path)
        name = min(tensors)
        tensors[name] = (tensors[name] + np.float32(by)).astype(np.float32)
        save_file(tensors, path, metadata={"format": "pt"})

    change(folder / f"data/policies/{policy}/{WEIGHTS}", shift)
    relock(folder, f"data/policies/{policy}")


def compared(before: Path, after: Path, policy: str = "s1") -> dict[str, Any]:
    return compare(open_audit(before, None), open_audit(after, None), policy)


def test_made_anew_it_is_the_same_to_the_bit(without_exam: Path, tmp_path: Path) -> None:
    """The whole command, from a bare clone: what the first build left behind is not there to be taken."""
    succeed(["git", "clone", "--quiet", "--bare", str(without_exam), "bare"], tmp_path)
    folder = tmp_path / "rebuilt"
    command = [
        sys.executable,
        "-m",
        "lineage",
        "rebuild",
        "r0",
        "--repo",
        str(tmp_path / "bare"),
        "--json",
    ]
    done = subprocess.run(
        [*command, "--folder", str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert (found["verdict"], found["num_steps"], found["steps"], found["findings"]) == (
        "bit-equal",
        3,
        [],
        [],
    )
    assert "Running stage 'sft@r0'" in done.stderr
    assert (folder / f"data/policies/r0/{WEIGHTS}").read_bytes() == (
        without_exam / f"data/policies/r0/{WEIGHTS}"
    ).read_bytes()
    assert not (folder / "data/policies/i1").exists()
    assert not (folder / "data/metrics/exams/s1.json").exists()


def test_an_untouched_tree_is_bit_equal(audited: Path, copy: Path) -> None:
    found = compared(audited, copy)
    assert (found["verdict"], found["num_steps"], found["first"]) == ("bit-equal", 17, None)


def test_weights_off_in_the_last_digit_are_within_tolerance(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 1e-7)
    found = compared(audited, copy)
    assert (found["verdict"], found["first"], found["findings"]) == (
        "within tolerance",
        "update@s1",
        [],
    )
    (step,) = found["steps"]
    (out,) = step["outs"]
    assert (out["path"], out["is_close"]) == (f"data/policies/s1/{WEIGHTS}", True)
    assert 0 < out["largest"] < 2e-7
    assert step["reasons"][0].startswith(
        "nothing on record differs; CPU and threads are not on record"
    )


def test_other_weights_that_do_as_well_are_equal_in_exam_metrics(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 0.1)
    found = compared(audited, copy)
    assert (found["verdict"], found["first"], found["findings"]) == (
        "equal in exam metrics",
        "update@s1",
        [],
    )


def test_without_exam_other_weights_are_different(audited: Path, copy: Path) -> None:
    nudge(copy, "i1", 0.1)
    found = compared(audited, copy, "i1")
    assert (found["verdict"], found["first"]) == ("different", "update@i1")
    (finding,) = found["findings"]
    assert (finding["check"], finding["subject"]) == ("rebuild", "update@i1")


def test_another_exam_result_is_different(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 0.1)
    path = "data/metrics/exams/s1.json"
    metrics = json.loads((copy / path).read_text())
    metrics["all"]["success"]["budget_9"]["mean"] += 0.04
    (copy / path).write_text(json.dumps(metrics))
    relock(copy, path)
    found = compared(audited, copy)
    assert (found["verdict"], found["first"]) == ("different", "update@s1")
    assert [step["step"] for step in found["steps"]] == ["update@s1", "evaluate@s1"]


def test_the_first_step_that_differs_is_named_with_its_code(audited: Path, copy: Path) -> None:
    """And what comes after it differs by its inputs."""
    listing = "data/code/update.json"
    code = open_audit(copy, None).graph.steps["update@i1"].code["stages/update.py"]
    (copy / listing).write_text((copy / listing).read_text().replace(code, "0" * 32))
    relock(copy, listing)
    nudge(copy, "i1", 0.1)
    nudge(copy, "s1", 0.1)
    found = compared(audited, copy)
    assert [step["step"] for step in found["steps"]] == ["update@i1", "update@s1"]
    first, second = (step["reasons"] for step in found["steps"])
    assert first == ["code differ: stages/update.py"]
    assert second == ["code differ: stages/update.py", "inputs differ: data/policies/i1"]


def test_params_and_packages_that_differ_are_named(audited: Path, copy: Path) -> None:
    lock = (copy / LOCK).read_text()
    assert lock.count("        rounds.s1:\n") > 1
    (copy / LOCK).write_text(
        re.sub(r"(        rounds\.s1:\n(?:          .*\n)*?          seed: )2", r"\g<1>3", lock)
    )
    nudge(copy, "s1", 0.1)
    facts = copy / "data/policies/s1.run.json"
    told = json.loads(facts.read_text())
    told["packages"]["torch"] = "0"
    facts.write_text(json.dumps(told))
    (step,) = compared(audited, copy)["steps"]
    assert step["reasons"] == ["params differ: rounds.s1", "packages differ: torch"]


def test_other_threads_are_named(
    audited: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KNOWHOW_THREADS", "1")
    nudge(copy, "s1", 0.1)
    assert compared(audited, copy)["steps"][0]["reasons"] == [
        "KNOWHOW_THREADS is 1 here, 2 unless set"
    ]


@pytest.mark.parametrize(
    ("column", "by", "verdict"),
    [("progress", 1e-7, "within tolerance"), ("segment_index", 1, "different")],
)
def test_tables_are_held_row_by_row(
    audited: Path, copy: Path, column: str, by: float, verdict: str
) -> None:
    def shift(path: Path) -> None:
        table = pq.read_table(path)
        place = table.schema.get_field_index(column)
        values = table.column(column).to_numpy() + by
        pq.write_table(
            table.set_column(
                place, table.field(column), pa.array(values, table.field(column).type)
            ),
            path,
        )

    path = "data/rounds/i1/gains.parquet"
    change(copy / path / PART, shift)
    relock(copy, path)
    found = compared(audited, copy, "i1")
    assert (found["verdict"], found["first"]) == (verdict, "infogain@i1")


def test_a_step_that_is_gone_is_different(audited: Path, copy: Path) -> None:
    (copy / LOCK).write_text((copy / LOCK).read_text().replace("  probe@i1:\n", "  other@i1:\n"))
    found = compared(audited, copy, "i1")
    assert (found["verdict"], found["first"]) == ("different", "probe@i1")
    assert found["steps"][0]["reasons"] == ["the commit's dvc.yaml has no such step"]


def test_bytes_that_are_nowhere_leave_the_verdict_standing(
    audited: Path, copy: Path, tmp_path: Path
) -> None:
    succeed(["git", "clone", "--quiet", "--bare", str(audited), "bare"], tmp_path)
    nudge(copy, "s1", 1e-7)
    found = compared(tmp_path / "bare", copy)
    assert found["verdict"] == "equal in exam metrics"
    assert "not in any place" in found["steps"][0]["outs"][0]["unknown"]


def test_people_read_a_verdict(audited: Path, copy: Path) -> None:
    nudge(copy, "s1", 1e-7)
    stream = StringIO()
    Console(file=stream, width=200).print(text(compared(audited, copy)))
    first, second, step, out, why = stream.getvalue().splitlines()
    assert first.endswith("made anew in 17 steps: within tolerance")
    assert second == "differs from step update@s1 on; close is within 1e-05 + 0.0001 of the number"
    assert step.strip() == "update@s1"
    assert re.fullmatch(rf" +data/policies/s1/{WEIGHTS} close, by [\d.e-]+ at most", out)
    assert why.strip().startswith("why: nothing on record differs")


@pytest.mark.parametrize("path", ["params.yaml", "stages/update.py"])
def test_params_or_code_that_are_not_the_commits_are_refused(copy: Path, path: str) -> None:
    with (copy / path).open("a") as file:
        file.write("# edited\n")
    with pytest.raises(
        AuditError, match=rf"1 files of code or params differ from commit \w+, first {path}; commit"
    ):
        rebuild(open_audit(copy, None), "s1", None)


def test_a_folder_in_use_is_refused(audited: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(AuditError, match="is in use"):
        rebuild(open_audit(audited, None), "s1", tmp_path)


def test_steps_that_fail_say_so(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AuditError, match=r"rebuilding update@none ended with \d+: .*'update@none'"):
        run(["update@none"], copy)
    assert "'update@none'" in capfd.readouterr().err


def test_an_interrupt_leaves_nothing_behind(audited: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lineage", "rebuild", "r0", "--repo", str(audited)]
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)})
    children: list[psutil.Process] = []
    while len(children) < NUM_PROCESSES and running.poll() is None:
        time.sleep(POLL_SECONDS)
        children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_SECONDS) != 0
    assert len(children) >= NUM_PROCESSES
    psutil.wait_procs(children, PATIENCE_SECONDS)
    assert not [child for child in children if child.is_running()]
    assert not list(tmp_path.glob("knowhow-rebuild-*"))
