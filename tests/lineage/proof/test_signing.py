"""Keys, what is signed, and when nothing is."""

import base64
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement_pb2 import Statement

from fixtures.checkouts import succeed
from lineage.proof.keys import make_keys
from lineage.proof.signing import sign
from lineage.proof.verify import verify
from lineage.record.audit import open_audit
from lineage.record.errors import AuditError
from tests.lineage.forging import PART, commit, drop_step, replace, slim


@pytest.fixture(scope="module")
def world(audited: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: a tree, keys, and what signing s1 wrote. Tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("signing")
    tree = slim(audited, folder / "tree")
    make_keys(folder / "release.key", folder / "release.pub")
    written = sign(open_audit(tree, None), "s1", folder / "release.key")
    assert [path.name for path in written] == ["statement.json", "statement.dsse.json", "model.sig"]
    succeed(["git", "add", "--force", "data/attestations"], tree)
    succeed(["git", "commit", "--quiet", "--message", "signed"], tree)
    return folder


@pytest.fixture
def folder(world: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy to change."""
    yield Path(shutil.copytree(world, tmp_path / "world", symlinks=True))
    shutil.rmtree(tmp_path / "world")


def attested(folder: Path, name: str) -> bytes:
    """What signing wrote."""
    return (folder / "tree/data/attestations/s1" / name).read_bytes()


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


def test_the_statement_is_an_in_toto_statement_with_slsa_provenance(world: Path) -> None:
    content = json.loads(attested(world, "statement.json"))
    statement = json_format.ParseDict(content, Statement())
    assert statement.predicate_type == "https://slsa.dev/provenance/v1"
    assert {subject.name for subject in statement.subject} >= {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
    }
    provenance = json_format.ParseDict(content["predicate"], Provenance())
    materials = {
        entry.name: dict(entry.digest)
        for entry in provenance.build_definition.resolved_dependencies
    }
    assert materials["git"].keys() == {"gitCommit"}
    for name in (
        "dvc.lock",
        "params.yaml",
        "stages/update.py",
        f"data/demos/r0.parquet/{PART}",
        f"data/rounds/i1/ledger.parquet/{PART}",
    ):
        assert materials[name].keys() == {"sha256"}
    assert any(name.startswith("requirements/") for name in materials)
    assert provenance.build_definition.external_parameters["params"]["rounds.s1"]["seed"] == 2
    assert provenance.run_details.builder.id


def test_the_statement_names_no_machine_and_no_time(world: Path) -> None:
    content = attested(world, "statement.json").decode()
    assert not [
        word
        for word in (str(world), str(Path.home()), socket.gethostname(), "startedOn")
        if word in content
    ]


def test_the_envelope_holds_by_the_published_rule(world: Path) -> None:
    """Checked without the library that made it: DSSE's encoding of type and payload, ECDSA over it."""
    envelope = json.loads(attested(world, "statement.dsse.json"))
    kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
    assert payload == attested(world, "statement.json")
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    key = load_pem_public_key((world / "release.pub").read_bytes())
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    key.verify(signature, encoded, ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        key.verify(signature, encoded + b" ", ECDSA(SHA256()))


def test_signing_again_says_the_same(folder: Path) -> None:
    """Commits that change nothing a policy is made of do not change what is said of it."""
    before = attested(folder, "statement.json")
    (folder / "tree/README.md").write_text("another\n")
    commit(folder / "tree")
    sign(open_audit(folder / "tree", None), "s1", folder / "release.key")
    assert attested(folder, "statement.json") == before


def test_a_signed_policy_holds_here_in_the_past_and_in_a_bare_clone(
    world: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.git"
    succeed(["git", "clone", "--quiet", "--bare", str(world / "tree"), str(bare)], tmp_path)
    remotes = {"shelf": str(world / "tree/.dvc/cache")}
    for audit in (
        open_audit(world / "tree", None),
        open_audit(world / "tree", "HEAD"),
        open_audit(bare, None, remotes=remotes),
    ):
        found = verify(audit, "s1", world / "release.pub")
        assert found.findings == []
        assert [note for note in found.notes if note.startswith("signed by key ")]


def test_without_a_key_the_signature_is_said_to_be_unchecked(world: Path) -> None:
    found = verify(open_audit(world / "tree", None), "s1")
    keyid = json.loads(attested(world, "statement.dsse.json"))["signatures"][0]["keyid"]
    assert found.findings == []
    assert f"the signature was not checked: no --public-key; it names key {keyid}" in found.notes


def test_an_exam_sat_later_is_no_difference(folder: Path) -> None:
    tree = folder / "tree"
    whole = {name: (tree / name).read_bytes() for name in ("dvc.lock", "params.yaml")}
    for step in ("examine@s1", "evaluate@s1"):
        drop_step(tree, step)
    replace(tree / "params.yaml", "  s1: {judge: exact}\n", "")
    commit(tree)
    sign(open_audit(tree, None), "s1", folder / "release.key")
    for name, content in whole.items():
        (tree / name).write_bytes(content)
    commit(tree)
    assert verify(open_audit(tree, None), "s1", folder / "release.pub")["findings"] == []


def test_what_is_wrong_or_not_committed_is_not_signed(folder: Path) -> None:
    tree = folder / "tree"
    with next((tree / "requirements").glob("*.txt")).open("a") as file:
        file.write("# edited\n")
    with pytest.raises(AuditError, match="commit first what it names, requirements/"):
        sign(open_audit(tree, None), "s1", folder / "release.key")
    (tree / "data/rounds/s1/scores.parquet" / PART).unlink()
    with pytest.raises(
        AuditError, match=r"1 finding, first working tree: data/rounds/s1/scores\.parquet"
    ):
        sign(open_audit(tree, None), "s1", folder / "release.key")
    with pytest.raises(AuditError, match="without @REVISION"):
        sign(open_audit(tree, "HEAD"), "s1", folder / "release.key")


def test_what_is_no_key_is_refused(world: Path) -> None:
    audit = open_audit(world / "tree", None)
    for key in (world / "release.pub", world / "none", world / "tree/params.yaml"):
        with pytest.raises(AuditError, match="is no private key"):
            sign(audit, "s1", key)
    for key in (world / "release.key", world / "none"):
        with pytest.raises(AuditError, match="is no public key"):
            verify(audit, "s1", key)
