"""Private keys of developers: PKCS #8 PEM files (RFC 5958, RFC 8410), as openssl reads and writes them."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.faults import Fault


class KeyUnusable(Fault):
    """A private key file cannot be used; the message is a sentence for the developer."""


class KeyExists(KeyUnusable):
    """There is a file at the path of a new key."""


def generate(path: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """Generate a private key in `path` with mode 600. Raises KeyExists: keys are never overwritten."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption(),
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyExists(f"{path} exists already, and only the key in it can sign updates: name another file.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)
    return key


def load(path: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """Read the private key in `path`. Raises KeyUnusable, or OSError when the file cannot be read."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise KeyUnusable(f"{path} is readable by others; run `chmod 600` on it.")
        pem = file.read()
    return parse(pem, str(path), passphrase)


def parse(pem: bytes, name: str, passphrase: str | None = None) -> Ed25519PrivateKey:
    """Read the private key in the PEM text that people know as `name`. Raises KeyUnusable."""
    try:
        key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except TypeError:
        wrong = "is not encrypted; omit the passphrase" if passphrase else "is encrypted; a passphrase is required"
        raise KeyUnusable(f"{name} {wrong}.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{name} is not a PEM private key, or the passphrase is wrong.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{name} is not an Ed25519 private key.")
    return key
