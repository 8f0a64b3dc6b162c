"""`knowhow cache verify`: what it says, and that the advice of a stage works to the letter."""

import re
import shutil
from pathlib import Path

import pytest

from fixtures.checkouts import run, succeed
from tests.flows.command import knowhow

SPOILT = (
    "data/rounds/i1/scores.parquet/part-00000-of-00001.parquet",
    "data/policies/i1/model.safetensors",
    "data/problems.parquet/part-00000-of-00001.parquet",
)


def test_it_names_what_it_dropped(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(
        "stages: {own: {cmd: cp seed out, deps: [seed], outs: [out]}}"
    )
    (tmp_path / "seed").write_text("seed\n")
    succeed(["git", "init", "--quiet"], tmp_path)
    succeed(["dvc", "init", "--quiet"], tmp_path)
    succeed(["dvc", "repro", "--quiet"], tmp_path)
    sound = knowhow(tmp_path, "cache", "verify")
    assert (sound.returncode, sound.stdout) == (0, "0 object(s) of DVC's cache were spoilt\n")
    assert knowhow(tmp_path, "cache", "verify", "--quick").stdout == ""
    [kept] = (path for path in (tmp_path / ".dvc/cache/files/md5").glob("??/*"))
    kept.chmod(0o644)
    kept.write_text("sEEd\n")
    spoilt = knowhow(tmp_path, "cache", "verify", "--quick")
    assert spoilt.returncode == 0
    assert "1 object(s) of DVC's cache were spoilt; `dvc repro` makes anew" in spoilt.stdout
    assert re.search(r"spoilt, dropped: .*, of out$", spoilt.stderr, re.MULTILINE)


def test_outside_a_project_it_says_so(tmp_path: Path) -> None:
    done = knowhow(tmp_path, "cache", "verify")
    assert done.returncode == 2
    assert "run from the repository's root" in done.stderr


@pytest.mark.parametrize("name", SPOILT)
def test_what_a_stage_advises_works(
    name: str, finished: Path, warm: dict[str, str], tmp_path: Path
) -> None:
    """A corrupt output is deleted, the cache verified, and `dvc repro` makes the bytes again."""
    folder = shutil.copytree(finished, tmp_path / "spoilt", symlinks=True)
    site = {"DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    succeed(["dvc", "checkout", "--relink", "--force", "--quiet"], folder, **site)
    lock, path = (folder / "dvc.lock").read_bytes(), folder / name
    whole, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as stream:
        stream.truncate(len(whole) // 2)
    path.chmod(mode)
    shutil.rmtree(path.parent)
    verified = knowhow(folder, "cache", "verify", **site)
    assert name in verified.stderr
    again = run(["dvc", "repro"], folder, **warm, **site)
    assert again.returncode == 0, again.stderr
    assert path.read_bytes() == whole
    assert (folder / "dvc.lock").read_bytes() == lock
