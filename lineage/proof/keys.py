"""Keys to sign with, in files: ECDSA on P-256, PEM."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.record.errors import AuditError
from lineage.record.tree import git

if TYPE_CHECKING:  # slow to import, and needed by few commands
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from securesystemslib.signer import SSlibKey

PRIVATE_MODE = 0o600


def make_keys(private_key: Path, public_key: Path) -> None:
    """Make a pair of keys.

    Raises:
        AuditError: a file is there already, or git would take the private one.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    _refuse_if_taken(private_key, public_key)
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    descriptor = os.open(private_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    public_key.write_bytes(public)


def read_private(path: Path) -> "EllipticCurvePrivateKey":
    """A private key.

    Raises:
        AuditError: the file holds no such key.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuditError(
            f"{path} is no private key to sign with: {error}; `knowhow audit key` makes one"
        ) from None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise AuditError(f"{path} is no key on an elliptic curve; `knowhow audit key` makes one")
    return key


def read_public(path: Path) -> "SSlibKey":
    """A public key.

    Raises:
        AuditError: the file holds no such key.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise AuditError(f"{path} is no public key: {error}") from None


def _refuse_if_taken(private_key: Path, public_key: Path) -> None:
    for path in (private_key, public_key):
        if path.exists() or path.is_symlink():
            raise AuditError(
                f"{path} is there already, and a key that is lost is lost; choose another name"
            )
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
        raise AuditError(
            f"{private_key} lies where git takes files; keep it outside, or have git ignore it"
        ) from None
