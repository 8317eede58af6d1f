"""The public keys with which developers sign packages."""

import sqlite3
from dataclasses import dataclass

from portal.packages import signature
from portal.packages.errors import SignatureInvalid
from portal.store import audit, developers, tokens
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.pages import ALL, Page


@dataclass(frozen=True)
class Key:
    """A registered key: `public_key` is 32 raw bytes, times are seconds since 1970."""

    key_id: str
    developer_id: str
    public_key: bytes
    created_at: int
    revoked_at: int | None


COLUMNS = ", ".join(Key.__dataclass_fields__)


def register(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, public_key: str, proof: str) -> Key:
    """Register a public key, base64; `proof` is a signature of its private key over the registration statement, base64.

    Raises Refused (INVALID_KEY, INVALID_PROOF, KEY_EXISTS, NOT_FOUND, DEVELOPER_DISABLED, UNAUTHENTICATED).
    """
    tokens.require_valid(tx, actor.token_id)
    developers.require_enabled(tx, developer_id)
    try:
        raw = signature.decode_public_key(public_key)
    except ValueError as error:
        raise Refused("INVALID_KEY", f"{error}.") from None
    key = Key(signature.key_id(raw), developer_id, raw, now(), None)
    try:
        signature.verify(raw, proof, signature.registration_statement(developer_id, key.key_id))
    except SignatureInvalid:
        raise Refused(
            "INVALID_PROOF",
            f"The proof is not a signature of key {key.key_id} over the registration statement of {developer_id}.",
        ) from None
    added = tx.execute(
        f"INSERT INTO keys ({COLUMNS}) VALUES (?, ?, ?, ?, NULL) ON CONFLICT (key_id) DO NOTHING",
        (key.key_id, developer_id, raw, key.created_at),
    )
    if not added.rowcount:
        raise Refused("KEY_EXISTS", f"Key {key.key_id} is already registered.")
    audit.append(tx, actor, "key.register", key.key_id, developer_id=developer_id)
    return key


def get(db: sqlite3.Connection, key_id: str) -> Key:
    """Raises Refused (NOT_FOUND)."""
    key = find(db, key_id)
    if key is None:
        raise Refused("NOT_FOUND", f"There is no key {key_id}.")
    return key


def find(db: sqlite3.Connection, key_id: str) -> Key | None:
    row = db.execute(f"SELECT {COLUMNS} FROM keys WHERE key_id = ?", (key_id,)).fetchone()
    return Key(**row) if row else None


def fault(db: sqlite3.Connection, key_id: str, developer_id: str) -> str | None:
    """Why this developer cannot sign with the key, as a sentence, or None."""
    key = find(db, key_id)
    if key is None:
        return f"Key {key_id} is not registered."
    if key.developer_id != developer_id:
        return f"Key {key_id} is registered for another developer, not for {developer_id}."
    if key.revoked_at is not None:
        return f"Key {key_id} is revoked."
    return None


def revoke(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, key_id: str, reason: str = "") -> None:
    """Revoke a key: packages signed with it are refused from now on; the reason is for the audit log.

    Raises Refused (NOT_FOUND).
    """
    key = find(tx, key_id)
    if key is None or key.developer_id != developer_id:
        raise Refused("NOT_FOUND", f"Developer {developer_id} has no key {key_id}.")
    if key.revoked_at is not None:
        return  # nothing changes, so the log says nothing
    tx.execute("UPDATE keys SET revoked_at = ? WHERE key_id = ?", (now(), key_id))
    audit.append(tx, actor, "key.revoke", key_id, developer_id=developer_id, reason=reason)


def of_developer(db: sqlite3.Connection, developer_id: str, page: Page = ALL) -> list[Key]:
    """The first one first."""
    ordered, values = page.sql(["created_at", "key_id"])
    rows = db.execute(f"SELECT {COLUMNS} FROM keys WHERE developer_id = ?{ordered}", (developer_id, *values))
    return [Key(**row) for row in rows]
