"""Keys are made once, kept private, and refused where they are none."""

from pathlib import Path

import pytest

from fixtures.checkouts import succeed
from lineage.proof.keys import make_keys, read_private, read_public
from lineage.record.errors import AuditError


def test_keys_are_made_once_and_kept_private(tmp_path: Path) -> None:
    make_keys(tmp_path / "a.key", tmp_path / "a.pub")
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in (tmp_path / "a.pub").read_bytes()
    for private, public in (("a.key", "b.pub"), ("b.key", "a.pub")):
        with pytest.raises(AuditError, match="is there already"):
            make_keys(tmp_path / private, tmp_path / public)
    assert not (tmp_path / "b.key").exists()
    with pytest.raises(AuditError, match="is no folder"):
        make_keys(tmp_path / "no/a.key", tmp_path / "c.pub")


def test_a_private_key_stays_out_of_git(tmp_path: Path) -> None:
    succeed(["git", "init", "--quiet", "."], tmp_path)
    with pytest.raises(AuditError, match="where git takes files"):
        make_keys(tmp_path / "a.key", tmp_path / "a.pub")
    (tmp_path / ".gitignore").write_text("*.key\n")
    make_keys(tmp_path / "a.key", tmp_path / "a.pub")


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    make_keys(tmp_path / "a.key", tmp_path / "a.pub")
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    for name in ("a.pub", "none", "params.yaml"):
        with pytest.raises(AuditError, match="is no private key"):
            read_private(tmp_path / name)
    for name in ("a.key", "none"):
        with pytest.raises(AuditError, match="is no public key"):
            read_public(tmp_path / name)
