"""Private keys of developers: PKCS #8 PEM files (RFC 5958, RFC 8410) that openssl reads as well."""

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.faults import Fault


class KeyUnusable(Fault):
    """A private key file cannot be used; the message is one sentence for the developer."""


def generate(path: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """A new private key, written to `path` with mode 600. Raises FileExistsError: a key is never overwritten."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption(),
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(descriptor)
    return key


def load(path: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """The private key in `path`. Raises KeyUnusable, or OSError when it cannot be read."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise KeyUnusable(f"{path} can be read by others; make it yours alone with `chmod 600`.")
        pem = file.read()
    try:
        key = serialization.load_pem_private_key(pem, passphrase.encode() if passphrase else None)
    except TypeError:
        wrong = "takes no passphrase" if passphrase else "needs its passphrase"
        raise KeyUnusable(f"{path} {wrong}.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyUnusable(f"{path} holds no private key in PEM, or its passphrase is another one.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} holds a private key that is not Ed25519.")
    return key
