"""Signed URLs: an HMAC-SHA-256 over everything that their holder may do.

Two keys are live, so that a rotation breaks no issued URL: the newest signs, both verify.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from portal.store import files
from portal.store.clock import now
from portal.store.database import queue
from portal.store.errors import Refused

VERSION = "MOSIS-PRESIGN-V1"
KEY_FILE_MODE = 0o600
KEYS_LIVE = 2
QUERY = {
    "size": re.compile(r"0|[1-9][0-9]{0,14}"),
    "sha256": re.compile(r"[0-9a-f]{64}|"),
    "expires": re.compile(r"[1-9][0-9]{0,11}"),
    "key": re.compile(r"[0-9a-f]{16}"),
    "signature": re.compile(r"[0-9a-f]{64}"),
}


@dataclass(frozen=True)
class Key:
    """A signing key; `created_at` in seconds since 1970."""

    key_id: str
    created_at: int
    secret: bytes


@dataclass(frozen=True)
class Grant:
    """What a URL allows until `expires_at`: `method` on `path`, a body of `size` bytes with `sha256` (hex) if known."""

    method: str
    path: str
    size: int
    sha256: str | None
    expires_at: int
    subject: str


def sign(keys: Sequence[Key], grant: Grant) -> dict[str, str]:
    """The query parameters of the URL, signed with the newest key."""
    key = keys[0]
    return {
        "size": str(grant.size),
        "sha256": grant.sha256 or "",
        "expires": str(grant.expires_at),
        "key": key.key_id,
        "signature": _signature(key, grant),
    }


def verify(
    keys: Sequence[Key], method: str, path: str, subject: str, query: Mapping[str, Sequence[str]]
) -> Grant:  # fmt: skip
    """The grant of a URL; `query` has every value of each parameter. Raises Refused (URL_INVALID, URL_EXPIRED)."""
    if query.keys() != QUERY.keys() or not all(
        len(values) == 1 and QUERY[name].fullmatch(values[0]) for name, values in query.items()
    ):
        raise _invalid()
    value = {name: values[0] for name, values in query.items()}
    grant = Grant(method, path, int(value["size"]), value["sha256"] or None, int(value["expires"]), subject)
    key = next((key for key in keys if key.key_id == value["key"]), None)
    if key is None or not hmac.compare_digest(_signature(key, grant), value["signature"]):
        raise _invalid()
    if now() >= grant.expires_at:
        raise Refused("URL_EXPIRED", "The signed URL has expired: request a new one.")
    return grant


def load(path: Path) -> list[Key]:
    """The live keys, newest first; loaded at each use, so that a rotation needs no restart. Raises OSError."""
    lines = (line.split() for line in path.read_text().splitlines())
    return [Key(key_id, int(created_at), bytes.fromhex(secret)) for key_id, created_at, secret in lines]


def create(path: Path) -> None:
    """Create the first key unless one exists."""
    files.make_directory(path.parent)
    with queue(path):
        if not path.exists():
            _save(path, [new_key()])


def rotate(path: Path, *, lifetime: int, drop: bool = False, key: Key | None = None) -> Key:
    """Sign with a new key from now on, or with `key`; `drop` invalidates all older ones at once.

    Raises Refused (KEY_CONFLICT) when a URL signed with the key that would be removed may still be valid: `lifetime` is
    how long URLs are valid, in seconds.
    """
    with queue(path):  # or concurrent rotations would lose a key
        keys, key = load(path), key or new_key()
        gone = forgotten(keys, lifetime=lifetime, drop=drop)
        _save(path, [key, *(old for old in keys if old not in gone)])
    return key


def forgotten(keys: Sequence[Key], *, lifetime: int, drop: bool = False) -> Sequence[Key]:
    """The keys that a rotation would remove. Raises Refused as `rotate` does."""
    gone = keys if drop else keys[KEYS_LIVE - 1 :]
    if gone and not drop and now() - keys[0].created_at < lifetime:
        raise Refused(
            "KEY_CONFLICT",
            f"The last rotation was less than {lifetime} s ago; URLs of the key before it may be in use.",
        )
    return gone


def new_key() -> Key:
    """A key that signs nothing until `rotate` takes it."""
    return Key(secrets.token_hex(8), now(), secrets.token_bytes(32))


def _save(path: Path, keys: Sequence[Key]) -> None:
    text = "".join(f"{key.key_id} {key.created_at} {key.secret.hex()}\n" for key in keys)
    files.write_file(path, text.encode(), mode=KEY_FILE_MODE)


def _signature(key: Key, grant: Grant) -> str:
    statement = "\n".join(
        (VERSION, key.key_id, grant.method, grant.path, str(grant.size), grant.sha256 or "", str(grant.expires_at),
         grant.subject, "")
    )  # fmt: skip
    return hmac.digest(key.secret, statement.encode(), hashlib.sha256).hex()


def _invalid() -> Refused:
    return Refused("URL_INVALID", "The URL was not signed by this store, or it was altered.")
