"""Signatures and what they vouch for: a DSSE envelope, and a model signature in OMS format.

Keys lie in files; there is no network and no log. Nothing is signed that the audit finds fault
with.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lineage.proof import statement as statements
from lineage.proof.evidence import Evidence
from lineage.proof.inspection import inspect
from lineage.proof.keys import read_private, read_public
from lineage.record.audit import Audit
from lineage.record.errors import AuditError, Finding, counted, first_few
from lineage.record.graph import policy_file
from lineage.record.tree import Commit, git

if TYPE_CHECKING:  # slow to import, and needed by few commands
    from securesystemslib.signer import SSlibKey

ATTESTATIONS = PurePosixPath("data/attestations")
STATEMENT, ENVELOPE, MODEL = "statement.json", "statement.dsse.json", "model.sig"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def sign(audit: Audit, policy: str, key: Path) -> list[Path]:
    """Write and sign what a policy is and was made of; the files written.

    Raises:
        AuditError: the key is no key, something is not as it should be, or what the statement names
            is not committed.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    if audit.tree.root is None:
        raise AuditError(
            "signing writes into a working tree: run it in a checkout, without @REVISION"
        )
    signer = CryptoSigner(read_private(key))
    inspection = inspect(audit, policy)
    if inspection.findings:
        num = counted(len(inspection.findings), "finding")
        raise AuditError(f"{policy} is not signed: {num}, first {inspection.findings[0]}")
    content = _statement_to_sign(audit, policy, inspection.evidence)
    envelope = Envelope(content, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    signed = json.dumps(envelope.to_dict(), indent=1, sort_keys=True)
    folder = audit.tree.root / ATTESTATIONS / policy
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATEMENT).write_bytes(content)
    (folder / ENVELOPE).write_text(f"{signed}\n", encoding="utf-8")
    _sign_model(audit, policy, inspection.evidence, key, folder / MODEL)
    return [folder / name for name in (STATEMENT, ENVELOPE, MODEL)]


def check(
    audit: Audit, policy: str, evidence: Evidence, public_key: Path | None
) -> tuple[list[Finding], list[str]]:
    """Hold what was signed to what is so, and the signatures to a key; findings and notes.

    Raises:
        AuditError: the key is no key.
    """
    key = read_public(public_key) if public_key else None
    where = str(ATTESTATIONS / policy)
    names = (STATEMENT, ENVELOPE, MODEL)
    statement, envelope, model = contents = [_read(audit, policy, name) for name in names]
    lost = [name for name, content in zip(names, contents, strict=True) if content is None]
    if len(lost) == len(names):
        missing = f"{policy} has no signed statement"
        return ([Finding("statement", where, missing)], []) if key else ([], [missing])
    findings: list[Finding] = []
    notes: list[str] = []
    for name in lost:
        message = "is gone; the others of its kind are there"
        findings.append(Finding("statement", f"{where}/{name}", message))
    if statement is not None:
        findings += _check_content(audit, policy, evidence, statement)
    if envelope is not None:
        findings += _check_envelope(f"{where}/{ENVELOPE}", envelope, statement, key, notes)
    if model is not None and public_key:
        findings += _check_model(audit, policy, evidence, public_key, model)
    return findings, notes


def _statement_to_sign(audit: Audit, policy: str, evidence: Evidence) -> bytes:
    commit = statements.source_commit(audit)
    statement = statements.build(audit, policy, evidence, commit)
    repository = audit.tree.repository
    sources, head = (Commit(repository, revision) for revision in (commit, audit.tree.commit))
    in_git = {path for path, file in evidence.files.items() if file.in_git}
    named = {entry["name"] for entry in statements.materials_of(statement)}
    changed = []
    for path in sorted(named - {statements.COMMIT} - (evidence.files.keys() - in_git)):
        try:
            is_same = (head if path in in_git else sources).read(path) == audit.tree.read(path)
        except FileNotFoundError:
            is_same = False
        if not is_same:
            changed.append(path)
    if changed:
        raise AuditError(
            f"{policy} is not signed: commit first what it names, {first_few(changed)}"
        )
    return statements.encode(statement)


def _check_content(
    audit: Audit, policy: str, evidence: Evidence, content: bytes
) -> Iterator[Finding]:
    """What the statement says is so."""
    try:
        stated = statements.decode(content)
        commit = statements.commit_of(stated)
    except ValueError as error:
        yield Finding("statement", policy, str(error))
        return
    try:
        is_ancestor = ("merge-base", "--is-ancestor", "--end-of-options")
        git(audit.tree.repository, *is_ancestor, commit, audit.tree.commit)
        true = statements.build(audit, policy, evidence, commit)
    except (AuditError, FileNotFoundError):
        message = f"names commit {commit[:12]}, which is not in the history here"
        yield Finding("statement", policy, message)
        return
    for subject, message in statements.discrepancies(stated, true):
        yield Finding("statement", subject, message)


def _check_envelope(
    where: str,
    content: bytes,
    statement: bytes | None,
    key: "SSlibKey | None",
    notes: list[str],
) -> Iterator[Finding]:
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error

    try:
        envelope = Envelope.from_dict(json.loads(content))
        signers = ", ".join(sorted(envelope.signatures)) or "none"
    except (ValueError, KeyError, TypeError, AttributeError, Error) as error:
        yield Finding("signature", where, f"is no envelope: {error}")
        return
    if envelope.payload_type != PAYLOAD_TYPE or envelope.payload != statement:
        yield Finding("signature", where, f"was made of another statement than {STATEMENT}")
    if key is None:
        notes.append(f"the signature was not checked: no --public-key; it names key {signers}")
        return
    try:
        envelope.verify([key], 1)
        notes.append(f"signed by key {key.keyid}")
    except Error:
        message = f"is not by key {key.keyid[:12]}; it names {signers}"
        yield Finding("signature", where, message)


def _sign_model(audit: Audit, policy: str, evidence: Evidence, key: Path, target: Path) -> None:
    from model_signing import signing

    with _laid_out(audit, policy, evidence) as folder:
        signing.Config().use_elliptic_key_signer(private_key=key).sign(folder, target)


def _check_model(
    audit: Audit, policy: str, evidence: Evidence, public_key: Path, content: bytes
) -> Iterator[Finding]:
    from model_signing import verifying

    with _laid_out(audit, policy, evidence) as folder:
        signature = folder.parent / MODEL
        signature.write_bytes(content)
        try:
            with redirect_stdout(sys.stderr):  # it prints warnings; ours may be JSON
                config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
                config.verify(folder, signature)
        except Exception as error:  # its own, and those of its parts: none of them holds
            message = str(error).strip() or "is not by this key"
            yield Finding("signature", str(ATTESTATIONS / policy / MODEL), message)


@contextmanager
def _laid_out(audit: Audit, policy: str, evidence: Evidence) -> Iterator[Path]:
    """The policy as a folder of its own, by the bytes that dvc.lock names, wherever they lie."""
    out = policy_file(audit.graph.policy(policy))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / policy
        folder.mkdir()
        for file in evidence.files_of(out):
            stream = evidence.open(file.path)
            if stream is not None and not file.is_list:
                path = folder / PurePosixPath(file.path).relative_to(out.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                with stream, path.open("wb") as target:
                    shutil.copyfileobj(stream, target)
        yield folder


def _read(audit: Audit, policy: str, name: str) -> bytes | None:
    try:
        return audit.tree.read(str(ATTESTATIONS / policy / name))
    except FileNotFoundError:
        return None
