"""`knowhow tidy`: what it tells. What it finds and sweeps: tests/flows/running/test_tidy.py."""

import json
import subprocess
from pathlib import Path

from flows.commands.tidy import told
from flows.running.tidy import Left, Leftovers
from tests.flows.command import knowhow

LEFT = Leftovers(("update@i2",), (Left(Path("data/policies/i2"), 1234),))


def test_entries_and_paths_are_told_with_bytes() -> None:
    lines = told(LEFT, is_dry=True).splitlines()
    assert lines[0].split() == ["BYTES", "WHAT"]
    assert lines[1].split() == ["dvc.lock:", "update@i2"]
    assert lines[2].split() == ["1,234", "data/policies/i2"]
    assert lines[-1] == "would sweep 1 entries of dvc.lock and 1 paths, 1,234 bytes"
    assert told(LEFT, is_dry=False).splitlines()[-1].startswith("swept 1 entries")


def test_where_nothing_is_left_it_says_so(tmp_path: Path) -> None:
    assert told(Leftovers((), ()), is_dry=False).startswith("nothing to sweep")
    (tmp_path / "params.yaml").write_text("rounds: {}\n")
    (tmp_path / "dvc.yaml").write_text("stages: {prepare: {cmd: 'true'}}\n")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    done = knowhow(tmp_path, "tidy", "--dry-run", "--json", DVC_SITE_CACHE_DIR=str(tmp_path / "s"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"entries": [], "paths": []}


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    done = knowhow(tmp_path, "tidy")
    assert (done.returncode, done.stdout) == (2, "")
    assert "from the repository's root" in done.stderr
