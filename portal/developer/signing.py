"""The developer's signing key: where it is, and that the store knows it."""

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.developer import places, private_file
from portal.developer.answers import Document, Keys
from portal.developer.client import Client
from portal.faults import Fault
from portal.packages import keys, signature
from portal.printable import printable

KEY_VARIABLE = "MOSIS_KEY"  # the path of a key file, or its text, as CI services keep secrets
PEM = "-----BEGIN "


def path_of(named: Path | None) -> Path:
    """The file of the key: as named, else that in MOSIS_KEY, else the developer's own."""
    return named or Path(os.environ.get(KEY_VARIABLE) or places.config() / "key.pem")


def is_named(named: Path | None) -> bool:
    """Whether it is not the developer's own key that is used."""
    return named is not None or bool(os.environ.get(KEY_VARIABLE))


def is_there(named: Path | None) -> bool:
    """Whether there is a key to sign with."""
    return (named is None and os.environ.get(KEY_VARIABLE, "").startswith(PEM)) or path_of(named).exists()


def generate(path: Path, passphrase: str | None = None) -> Ed25519PrivateKey:
    """Make the developer's own key. Raises KeyExists: keys are never overwritten."""
    path.parent.mkdir(mode=private_file.DIRECTORY_MODE, parents=True, exist_ok=True)
    return keys.generate(path, passphrase)


def id_of(key: Ed25519PrivateKey) -> str:
    return signature.key_id(signature.raw_public_key(key))


def registration(developer_id: str, key: Ed25519PrivateKey) -> dict[str, str]:
    """The request body that registers a key: the public key, and the proof that its private key is there."""
    proof = signature.sign(key, signature.registration_statement(developer_id, id_of(key)))
    return {"public_key": base64.b64encode(signature.raw_public_key(key)).decode(), "proof": proof}


def rotation(
    app_id: str, old: Ed25519PrivateKey, new: Ed25519PrivateKey, from_version_code: int
) -> dict[str, str | int]:
    """The request body that changes the key of an app, signed with both."""
    statement = signature.rotation_statement(app_id, id_of(old), id_of(new), from_version_code)
    return {
        "new_key_id": id_of(new),
        "from_version_code": from_version_code,
        "old_signature": signature.sign(old, statement),
        "new_signature": signature.sign(new, statement),
    }


def register(client: Client, developer_id: str, key: Ed25519PrivateKey) -> bool:
    """Whether the key was new to the store. Raises Problem; Fault for one that was revoked."""
    if is_registered(client, developer_id, id_of(key)):
        return False
    client.post(f"/api/developers/{developer_id}/keys", Document, registration(developer_id, key))
    return True


def is_registered(client: Client, developer_id: str, key_id: str) -> bool:
    """Raises Problem; Fault for a key that was revoked."""
    found = client.every(f"/api/developers/{developer_id}/keys", Keys, "keys").keys
    known = next((key for key in found if key.key_id == key_id), None)
    if known and known.revoked_at:
        when = printable(known.revoked_at)
        raise Fault(f"Key {key_id} was revoked on {when}: sign with another one, named with --key.")
    return known is not None
