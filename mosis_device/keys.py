"""Which key signs an app: the first one is trusted on first use, later ones by the signature of the one before."""

import base64
import hashlib
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mosis_device.refusals import Refused

Entry = dict[str, Any]


def follow(app_id: str, known: list[Entry], offered: list[Entry], accepted: str | None = None) -> list[Entry]:
    """The entries to remember, of those that are remembered (`known`, at first none) and those of the catalogue.

    `accepted` is the key id of a recovery that a person agreed to. Raises Refused.
    """
    try:
        return _follow(app_id, known, offered, accepted)
    except (InvalidSignature, ValueError, KeyError, TypeError):
        raise Refused("key-changed", f"The keys of {app_id} are not what they were, or lack a proof.") from None


def signer(entries: list[Entry], version_code: int) -> bytes:
    """The public key, 32 bytes, that signs this version. Raises Refused."""
    for entry in reversed(entries):
        if entry["from_version_code"] <= version_code:
            return base64.b64decode(entry["public_key"])
    raise Refused("key-changed", f"The catalogue names no key for version {version_code}.")


def key_id(public_key: bytes) -> str:
    """The id of a public key, 32 hex digits."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def verify(public_key: bytes, signature: str, statement: bytes) -> None:
    """Check a base64 signature. Raises InvalidSignature, ValueError."""
    Ed25519PublicKey.from_public_bytes(public_key).verify(base64.b64decode(signature, validate=True), statement)


def _follow(app_id: str, known: list[Entry], offered: list[Entry], accepted: str | None) -> list[Entry]:
    if [_identity(entry) for entry in offered[: len(known)]] != [_identity(entry) for entry in known]:
        raise ValueError
    for number, new in enumerate(offered):
        if key_id(base64.b64decode(new["public_key"])) != new["key_id"] or type(new["from_version_code"]) is not int:
            raise ValueError
        if number < max(1, len(known)):
            continue  # remembered, or the first entry of all
        if new["kind"] == "rotation":
            _prove(app_id, offered[number - 1], new)
        elif new["kind"] != "recovery":
            raise ValueError
        elif known and new["key_id"] != accepted:
            raise Refused(
                "key-changed",
                f"The developer of {app_id} lost the key; only the store vouches for the new one, {new['key_id']}:"
                f" ask the developer whether it is theirs, then accept it with --accept-key {new['key_id']}.",
            )
    return offered


def _identity(entry: Entry) -> tuple[str, str, int]:
    return entry["kind"], entry["key_id"], entry["from_version_code"]


def _prove(app_id: str, old: Entry, new: Entry) -> None:
    """Both keys agreed to the rotation."""
    lines = ["MOSIS-KEY-ROTATE-V1", app_id, old["key_id"], new["key_id"], str(new["from_version_code"]), ""]
    for entry, signature in ((old, new["old_signature"]), (new, new["new_signature"])):
        verify(base64.b64decode(entry["public_key"]), signature, "\n".join(lines).encode())
