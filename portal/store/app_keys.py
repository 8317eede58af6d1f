"""Which key signs an app's versions: the first publish pins it, a rotation or a recovery replaces it.

There is one row per change, and the last one in force decides, so each version code has exactly one key at any time.
"""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from portal.store.clock import now

Kind = Literal["pin", "rotation", "recovery"]


@dataclass(frozen=True)
class AppKey:
    """From `effective_at` on, `key_id` signs the versions from `from_version_code` on.

    Times are seconds since 1970, `public_key` is 32 raw bytes; only a rotation has the two signatures, base64.
    A revoked key signs nothing new; what it signed before was reviewed, and stays.
    """

    number: int
    app_id: str
    kind: Kind
    key_id: str
    from_version_code: int
    created_at: int
    effective_at: int
    reason: str
    old_signature: str | None
    new_signature: str | None
    public_key: bytes
    revoked_at: int | None


SELECT = (
    "SELECT number, app_id, kind, key_id, from_version_code, app_keys.created_at, effective_at, reason, old_signature,"
    " new_signature, public_key, keys.revoked_at FROM app_keys JOIN keys USING (key_id)"
    " WHERE cancelled_at IS NULL AND app_id = ?"
)


def signer(db: sqlite3.Connection, app_id: str, version_code: int) -> AppKey | None:
    """The change that decides which key signs this version; None before the first publish."""
    row = db.execute(
        f"{SELECT} AND effective_at <= ? AND from_version_code <= ? ORDER BY number DESC LIMIT 1",
        (app_id, now(), version_code),
    ).fetchone()
    return AppKey(*row) if row else None


def latest(db: sqlite3.Connection, app_id: str) -> AppKey | None:
    """The last change in force, even if it applies to later versions only; None before the first publish."""
    found = history(db, app_id)
    return found[-1] if found else None


def history(db: sqlite3.Connection, app_id: str) -> list[AppKey]:
    """Every change in force, oldest first; the old key of a rotation is the key of the change before it."""
    rows = db.execute(f"{SELECT} AND effective_at <= ? ORDER BY number", (app_id, now()))
    return [AppKey(*row) for row in rows]


def pending(db: sqlite3.Connection, app_id: str) -> AppKey | None:
    """The announced recovery that is neither in force yet nor cancelled, or None."""
    row = db.execute(f"{SELECT} AND effective_at > ?", (app_id, now())).fetchone()
    return AppKey(*row) if row else None


def add(
    tx: sqlite3.Connection, app_id: str, kind: Kind, key_id: str, from_version_code: int, effective_at: int,
    *, reason: str = "", old_signature: str | None = None, new_signature: str | None = None,
) -> AppKey:  # fmt: skip
    """Record a change; the caller has validated it and writes the audit log."""
    number = tx.execute(
        "INSERT INTO app_keys (app_id, kind, key_id, from_version_code, created_at, effective_at, reason,"
        " old_signature, new_signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (app_id, kind, key_id, from_version_code, now(), effective_at, reason, old_signature, new_signature),
    ).lastrowid
    return AppKey(*tx.execute(f"{SELECT} AND number = ?", (app_id, number)).fetchone())
