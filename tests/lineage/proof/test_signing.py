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
from tests.lineage.forging import PART, commit, drop_exam, slim


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


def test_the_statement_is_an_in_toto_statement_with_slsa_provenance(world: Path) -> None:
    content = json.loads(attested(world, "statement.json"))
    statement = json_format.ParseDict(content, Statement())
    assert statement.predicate_type == "https://slsa.dev/provenance/v1"
    subjects = {subject.name for subject in statement.subject}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= subjects
    provenance = json_format.ParseDict(content["predicate"], Provenance())
    dependencies = provenance.build_definition.resolved_dependencies
    materials = {entry.name: dict(entry.digest) for entry in dependencies}
    assert materials["git"].keys() == {"gitCommit"}
    for name in (
        "dvc.lock",
        "params.yaml",
        "stages/sft.py",
        f"data/demos/r0.parquet/{PART}",
        f"data/rounds/i1/ledger.parquet/{PART}",
    ):
        assert materials[name].keys() == {"sha256"}
    assert any(name.startswith("requirements/") for name in materials)
    assert provenance.build_definition.external_parameters["params"]["rounds.s1"]["seed"] == 2
    assert provenance.run_details.builder.id


def test_the_statement_names_no_machine_and_no_time(world: Path) -> None:
    content = attested(world, "statement.json").decode()
    for word in (str(world), str(Path.home()), socket.gethostname(), "startedOn"):
        assert word not in content


def test_the_envelope_holds_by_the_published_rule(world: Path) -> None:
    """Checked without the library that made it: ECDSA over DSSE's encoding."""
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
        answer = verify(audit, "s1", world / "release.pub")
        assert answer.findings == []
        assert [note for note in answer.notes if note.startswith("signed by key ")]


def test_without_a_key_the_signature_is_said_to_be_unchecked(world: Path) -> None:
    answer = verify(open_audit(world / "tree", None), "s1")
    keyid = json.loads(attested(world, "statement.dsse.json"))["signatures"][0]["keyid"]
    assert answer.findings == []
    note = f"the signature was not checked: no --public-key; it names key {keyid}"
    assert note in answer.notes


def test_an_exam_run_later_is_no_difference(folder: Path) -> None:
    tree = folder / "tree"
    whole = {name: (tree / name).read_bytes() for name in ("dvc.lock", "params.yaml")}
    drop_exam(tree)
    sign(open_audit(tree, None), "s1", folder / "release.key")
    for name, content in whole.items():
        (tree / name).write_bytes(content)
    commit(tree)
    assert verify(open_audit(tree, None), "s1", folder / "release.pub").findings == []


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
