"""Keys, signatures and what they vouch for: a DSSE envelope round the statement, and a model signature in OMS format.

Keys lie in files; there is no network and no log. Nothing is signed that the audit finds fault with.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from lineage.proof import statement as statements
from lineage.proof.evidence import Evidence
from lineage.proof.inspection import inspect, some
from lineage.record.audit import Audit
from lineage.record.errors import AuditError, Finding
from lineage.record.graph import policy_file
from lineage.record.tree import Commit, git
from lineage.telling.words import counted

ATTESTATIONS = PurePosixPath("data/attestations")
STATEMENT, ENVELOPE, MODEL = "statement.json", "statement.dsse.json", "model.sig"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PRIVATE_MODE = 0o600


def make_keys(private_key: Path, public_key: Path) -> None:
    """Make a pair of keys: ECDSA on P-256, PEM.

    Raises:
        AuditError: a file is there already, or git would take the private one.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    _refuse_if_taken(private_key, public_key)
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with os.fdopen(os.open(private_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE), "wb") as file:
        file.write(private)
    public_key.write_bytes(public)


def sign(audit: Audit, policy: str, key: Path) -> list[Path]:
    """Write and sign what a policy is and was made of; the files written.

    Raises:
        AuditError: the key is none, something is found wrong, or what the statement names is not committed.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    if audit.tree.root is None:
        raise AuditError("signing writes into a working tree: run it in a checkout, without @REVISION")
    signer = CryptoSigner(_private(key))
    inspection = inspect(audit, policy)
    if inspection.findings:
        num = counted(len(inspection.findings), "finding")
        raise AuditError(f"{policy} is not signed: {num}, first {inspection.findings[0]}")
    content = _statement_to_sign(audit, policy, inspection.evidence)
    envelope = Envelope(content, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    folder = audit.tree.root / ATTESTATIONS / policy
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATEMENT).write_bytes(content)
    (folder / ENVELOPE).write_text(json.dumps(envelope.to_dict(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    _sign_model(audit, policy, inspection.evidence, key, folder / MODEL)
    return [folder / name for name in (STATEMENT, ENVELOPE, MODEL)]


def check(audit: Audit, policy: str, evidence: Evidence, public_key: Path | None) -> tuple[list[Finding], list[str]]:
    """Hold what was signed to what was found, and the signatures to a key; findings and notes.

    Raises:
        AuditError: the key is none.
    """
    key = _public(public_key) if public_key else None
    where = str(ATTESTATIONS / policy)
    there = {
        name: content for name in (STATEMENT, ENVELOPE, MODEL) if (content := _read(audit, policy, name)) is not None
    }
    if not there:
        missing = f"{policy} has no signed statement"
        return ([Finding("statement", where, missing)], []) if key else ([], [missing])
    lost = [name for name in (STATEMENT, ENVELOPE, MODEL) if name not in there]
    findings = [Finding("statement", f"{where}/{name}", "is gone; the others of its kind are there") for name in lost]
    notes: list[str] = []
    if STATEMENT in there:
        findings += _check_content(audit, policy, evidence, there[STATEMENT])
    if ENVELOPE in there:
        findings += _check_envelope(f"{where}/{ENVELOPE}", there[ENVELOPE], there.get(STATEMENT), key, notes)
    if MODEL in there and public_key:
        findings += _check_model(audit, policy, evidence, public_key, there[MODEL])
    return findings, notes


def _statement_to_sign(audit: Audit, policy: str, evidence: Evidence) -> bytes:
    commit = statements.source_commit(audit)
    statement = statements.build(audit, policy, evidence, commit)
    sources, head = (Commit(audit.tree.repository, revision) for revision in (commit, audit.tree.commit))
    changed = []
    kept = {path for path, part in evidence.parts.items() if part.in_git}
    listed = {entry["name"] for entry in statements.materials_of(statement)} - {statements.COMMIT}
    for path in sorted(listed - (evidence.parts.keys() - kept)):
        try:
            same = (head if path in kept else sources).read(path) == audit.tree.read(path)
        except FileNotFoundError:
            same = False
        changed += [] if same else [path]
    if changed:
        raise AuditError(f"{policy} is not signed: commit first what it names, {some(changed)}")
    return statements.encode(statement)


def _check_content(audit: Audit, policy: str, evidence: Evidence, content: bytes) -> Iterator[Finding]:
    """What the statement says is what was found."""
    try:
        stated = statements.decode(content)
        commit = statements.commit_of(stated)
    except ValueError as error:
        yield Finding("statement", policy, str(error))
        return
    try:
        git(audit.tree.repository, "merge-base", "--is-ancestor", "--end-of-options", commit, audit.tree.commit)
        found = statements.build(audit, policy, evidence, commit)
    except (AuditError, FileNotFoundError):
        yield Finding("statement", policy, f"names commit {commit[:12]}, which is not in the history here")
        return
    for subject, message in statements.differences(stated, found):
        yield Finding("statement", subject, message)


def _check_envelope(
    where: str, content: bytes, statement: bytes | None, key: Any | None, notes: list[str]
) -> Iterator[Finding]:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error

    try:
        envelope = Envelope.from_dict(json.loads(content))
        signers = sorted(envelope.signatures)
    except (ValueError, KeyError, TypeError, AttributeError, Error) as error:
        yield Finding("signature", where, f"is no envelope: {error}")
        return
    if envelope.payload_type != PAYLOAD_TYPE or envelope.payload != statement:
        yield Finding("signature", where, f"was made of another statement than {STATEMENT}")
    if key is None:
        notes.append(f"the signature was not checked: no --public-key; it names key {', '.join(signers) or 'none'}")
        return
    try:
        envelope.verify([key], 1)
        notes.append(f"signed by key {key.keyid}")
    except Error:
        yield Finding("signature", where, f"is not by key {key.keyid[:12]}; it names {', '.join(signers) or 'none'}")


def _sign_model(audit: Audit, policy: str, evidence: Evidence, key: Path, target: Path) -> None:
    from model_signing import signing

    with _laid_out(audit, policy, evidence) as folder:
        signing.Config().use_elliptic_key_signer(private_key=key).sign(folder, target)


def _check_model(audit: Audit, policy: str, evidence: Evidence, public_key: Path, content: bytes) -> Iterator[Finding]:
    from model_signing import verifying

    with _laid_out(audit, policy, evidence) as folder:
        signature = folder.parent / MODEL
        signature.write_bytes(content)
        try:
            with redirect_stdout(sys.stderr):  # it prints warnings; ours may be JSON
                verifying.Config().use_elliptic_key_verifier(public_key=public_key).verify(folder, signature)
        except Exception as error:  # its own, and those of what it is made of: all mean that it does not hold
            yield Finding("signature", str(ATTESTATIONS / policy / MODEL), str(error).strip() or "is not by this key")


@contextmanager
def _laid_out(audit: Audit, policy: str, evidence: Evidence) -> Iterator[Path]:
    """The policy as a folder of its own, by the bytes that dvc.lock names, wherever they are right."""
    out = policy_file(audit.graph.policy(policy))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / policy
        folder.mkdir()
        for part in evidence.files(out):
            stream = evidence.open(part.path)
            if stream is not None and not part.is_list:
                target = folder / PurePosixPath(part.path).relative_to(out.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                with stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
        yield folder


def _read(audit: Audit, policy: str, name: str) -> bytes | None:
    try:
        return audit.tree.read(str(ATTESTATIONS / policy / name))
    except FileNotFoundError:
        return None


def _private(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuditError(f"{path} is no private key to sign with: {error}; `knowhow audit key` makes one") from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise AuditError(f"{path} is no key on an elliptic curve; `knowhow audit key` makes one")
    return key


def _public(path: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise AuditError(f"{path} is no public key: {error}") from None


def _refuse_if_taken(private_key: Path, public_key: Path) -> None:
    for path in (private_key, public_key):
        if path.exists() or path.is_symlink():
            raise AuditError(f"{path} is there already, and a key that is lost is lost; choose another name")
        if not path.parent.is_dir():
            raise AuditError(f"{path.parent} is no folder; make it first")
    folder = private_key.parent
    try:
        git(folder, "rev-parse", "--show-toplevel")
    except AuditError:
        return
    try:
        git(folder, "check-ignore", "--quiet", "--", private_key.name)
    except AuditError:
        raise AuditError(f"{private_key} lies where git takes files; keep it outside, or have git ignore it") from None
