"""Statements, signatures and git itself."""

import base64
import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

from fixtures.checkouts import succeed
from lineage.proof.signing import sign
from lineage.record.audit import open_audit
from tests.lineage.forging import (
    commit,
    drop_exam,
    put,
    replace,
)
from tests.lineage.proof.tampering import everywhere
from tests.lineage.proof.tampering.kinds import (
    ATTESTED,
    kind,
)


@kind("signature")
def signature_forged(tree: Path) -> None:
    envelope(
        tree,
        lambda content: content["signatures"][0].update(sig=base64.b64encode(b"0" * 70).decode()),
    )


@kind("signature")
def signature_removed_from_its_envelope(tree: Path) -> None:
    envelope(tree, lambda content: content["signatures"].clear())


@kind("signature")
def envelope_no_json(tree: Path) -> None:
    put(tree / ATTESTED / "statement.dsse.json", b"trust me\n")


@kind("signature")
def signed_by_another_key(tree: Path) -> None:
    sign(open_audit(tree, None), "s1", tree.parent / "theirs.key")


@kind("signature")
def signed_by_another_key_in_our_keys_name(tree: Path) -> None:
    ours = json.loads((tree / ATTESTED / "statement.dsse.json").read_text())["signatures"][0][
        "keyid"
    ]
    signed_by_another_key(tree)
    envelope(tree, lambda content: content["signatures"][0].update(keyid=ours))


@kind("signature")
def all_made_anew_and_signed_by_another_key(tree: Path) -> None:
    everywhere.policy_replaced_digests_and_all(tree)
    shutil.rmtree(tree.parent / "remote")
    (tree.parent / "remote").mkdir()
    drop_exam(tree)
    signed_by_another_key(tree)


@kind("statement")
def statement_edited(tree: Path) -> None:
    replace(tree / ATTESTED / "statement.json", '"seed": 2', '"seed": 3')


@kind("signature")
def statement_edited_in_its_envelope_too(tree: Path) -> None:
    statement_edited(tree)
    content = (tree / ATTESTED / "statement.json").read_bytes()
    envelope(tree, lambda signed: signed.update(payload=base64.b64encode(content).decode()))


@kind("statement")
def digest_removed_from_the_statement(tree: Path) -> None:
    path = tree / ATTESTED / "statement.json"
    content = json.loads(path.read_text())
    content["predicate"]["buildDefinition"]["resolvedDependencies"].pop()
    path.write_text(json.dumps(content))


@kind("statement")
def statement_no_statement(tree: Path) -> None:
    put(tree / ATTESTED / "statement.json", b"{}\n")


@kind("statement")
def statement_of_another_policy(tree: Path) -> None:
    shutil.rmtree(tree / ATTESTED)
    shutil.copytree(tree / "data/attestations/i1", tree / ATTESTED)


@kind("statement")
def statement_removed(tree: Path) -> None:
    shutil.rmtree(tree / ATTESTED)
    commit(tree)


@kind("statement")
def model_signature_removed(tree: Path) -> None:
    (tree / ATTESTED / "model.sig").unlink()


@kind("signature")
def model_signature_of_another_policy(tree: Path) -> None:
    shutil.copy(tree / "data/attestations/i1/model.sig", tree / ATTESTED / "model.sig")


@kind("signature")
def model_signature_forged(tree: Path) -> None:
    path = tree / ATTESTED / "model.sig"
    content = json.loads(path.read_text())
    content["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(b"0" * 70).decode()
    path.write_text(json.dumps(content))


@kind("git")
def git_object_edited(tree: Path) -> None:
    path = git_object(tree, "HEAD:params.yaml")
    put(
        path,
        zlib.compress(zlib.decompress(path.read_bytes()).replace(b"alpha: 1.0", b"alpha: 2.0")),
    )


@kind("git")
def git_object_cut_short(tree: Path) -> None:
    path = git_object(tree, "HEAD:dvc.lock")
    put(path, path.read_bytes()[:100])


@kind("git")
def git_object_replaced(tree: Path) -> None:
    succeed(["git", "replace", "HEAD:params.yaml", "HEAD:README.md"], tree)


@kind("statement")
def history_rewritten(tree: Path) -> None:
    succeed(["git", "checkout", "--quiet", "--orphan", "clean"], tree)
    commit(tree)


def envelope(tree: Path, change: Callable[[dict], object]) -> None:
    """Edit the signed envelope."""
    path = tree / ATTESTED / "statement.dsse.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def git_object(tree: Path, name: str) -> Path:
    """Where git has an object, out of its pack."""
    packs = tree / ".git/objects/pack"
    for pack in packs.glob("*.pack"):
        shutil.move(pack, tree / "pack")
        content = (tree / "pack").read_bytes()
        subprocess.run(["git", "unpack-objects", "-q"], cwd=tree, input=content, check=True)
    shutil.rmtree(packs)
    oid = succeed(["git", "rev-parse", name], tree).strip()
    return tree / ".git/objects" / oid[:2] / oid[2:]
