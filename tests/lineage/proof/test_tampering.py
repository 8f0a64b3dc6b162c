"""Planted tampering, every kind of it found by the check that must find it."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from fixtures.checkouts import run, succeed
from lineage.proof.gate import check
from lineage.proof.gate.process import Gate
from lineage.proof.keys import make_keys
from lineage.proof.signing import sign
from lineage.proof.verify import verify
from lineage.record.audit import open_audit
from tests.lineage import forging
from tests.lineage.proof.tampering import (
    everywhere,
    in_bytes,
    in_rows,
    in_statements,
    in_the_lock,
    in_values,
)
from tests.lineage.proof.tampering.kinds import KINDS

MODULES = (everywhere, in_bytes, in_rows, in_statements, in_the_lock, in_values)
NUM_KINDS = 158


@pytest.fixture(scope="module", autouse=True)
def gate() -> Iterator[None]:
    """One process of the gate for all audits here: it starts in the time of many an answer."""
    with Gate() as gate, pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "Gate", lambda: nullcontext(gate))
        yield


@pytest.fixture(scope="module")
def signed(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a signed tree with a remote, our keys, and those of someone else."""
    folder = tmp_path_factory.mktemp("signed")
    tree = forging.slim(audited, folder / "tree")
    with (tree / ".dvc/config").open("a") as config:
        config.write("['remote \"shelf\"']\n    url = ../../remote\n")
    shutil.copytree(tree / ".dvc/cache/files", folder / "remote/files")
    forging.commit(tree)
    for name in ("ours", "theirs"):
        make_keys(folder / f"{name}.key", folder / f"{name}.pub")
    for policy in ("i1", "s1"):
        sign(open_audit(tree, None), policy, folder / "ours.key")
    succeed(["git", "add", "--force", "data/attestations"], tree)
    succeed(["git", "commit", "--quiet", "--message", "signed"], tree)
    succeed(["git", "gc", "--quiet"], tree)
    return folder


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of it to tamper with, gone afterwards: there are many, of hundreds of files each."""
    yield forging.duplicate(signed, tmp_path / "folder")
    shutil.rmtree(tmp_path / "folder")


def findings(folder: Path) -> dict[str, list[str]]:
    """What verify finds, by check."""
    by_check: dict[str, list[str]] = {}
    answer = verify(open_audit(folder / "tree", None), "s1", folder / "ours.pub")
    for finding in answer.findings:
        by_check.setdefault(finding.check, []).append(f"{finding.subject}: {finding.message}")
    return by_check


def test_every_kind_is_registered() -> None:
    assert len(KINDS) == NUM_KINDS
    assert {tamper.__module__ for _, tamper in KINDS.values()} == {m.__name__ for m in MODULES}


def test_the_untouched_tree_is_as_it_should_be(signed: Path) -> None:
    assert findings(signed) == {}


@pytest.mark.parametrize("name", KINDS)
def test_tampering_is_found(name: str, folder: Path) -> None:
    due, tamper = KINDS[name]
    tamper(folder / "tree")
    by_check = findings(folder)
    assert due in by_check, by_check


def test_dvc_misses_an_edit_that_keeps_size_and_mtime(folder: Path) -> None:
    """What verify is for: DVC finds nothing to do."""
    succeed(["dvc", "status"], folder / "tree")
    in_bytes.edited_in_place_with_the_same_size_and_mtime_in_tree_and_cache(folder / "tree")
    assert "gains" not in run(["dvc", "status"], folder / "tree").stdout
    assert {"cache", "working tree"} <= findings(folder).keys()
