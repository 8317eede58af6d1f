"""Developers: the accounts that publish apps."""

import sqlite3
from dataclasses import dataclass

from portal.store import audit
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.pages import ALL, Page


@dataclass(frozen=True)
class Developer:
    """An account; times are seconds since 1970. A disabled one does nothing more, and its apps stay as they are."""

    developer_id: str
    name: str
    created_at: int
    disabled_at: int | None = None


COLUMNS = ", ".join(Developer.__dataclass_fields__)
TRANSFERRED = (
    "key_id IN (SELECT signing.key_id FROM app_keys JOIN apps USING (app_id)"
    " JOIN keys AS signing ON signing.key_id = app_keys.key_id WHERE apps.developer_id <> signing.developer_id)"
)
"""SQL: the key signs an app that has gone to another developer, whose copy of it is the only one that can upload."""
OWN = "developer_id = :developer_id"
ENDED = {  # the files of uploads are leftovers, which cleanup removes
    "tokens": (
        "UPDATE tokens SET revoked_at = :at",
        "FROM tokens",
        f"{OWN} AND revoked_at IS NULL AND passkey IS NULL",
    ),
    "passkeys": (
        "UPDATE tokens SET revoked_at = :at",
        "FROM tokens",
        f"{OWN} AND revoked_at IS NULL AND passkey IS NOT NULL",
    ),
    "keys": ("UPDATE keys SET revoked_at = :at", "FROM keys", f"{OWN} AND revoked_at IS NULL AND NOT {TRANSFERRED}"),
    "uploads": ("DELETE FROM versions", "FROM versions", f"{OWN} AND status = 'uploading'"),
    "webhooks": ("DELETE FROM webhooks", "FROM webhooks", OWN),
    "previews": ("DELETE FROM previews", "FROM previews", OWN),
    "publishers": ("DELETE FROM publishers", "FROM publishers", f"app_id IN (SELECT app_id FROM apps WHERE {OWN})"),
}
"""What ends with a developer: how, where it is, and which rows; their numbers are in the audit log."""


def add(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, name: str) -> Developer:
    """Add a developer. Raises Refused (DEVELOPER_EXISTS)."""
    developer = Developer(developer_id, name, now())
    added = tx.execute(
        "INSERT INTO developers (developer_id, name, created_at) VALUES (?, ?, ?)"
        " ON CONFLICT (developer_id) DO NOTHING",
        (developer_id, name, developer.created_at),
    )
    if not added.rowcount:
        raise Refused("DEVELOPER_EXISTS", f"Developer {developer_id} already exists.")
    audit.append(tx, actor, "developer.add", developer_id, name=name)
    return developer


def get(db: sqlite3.Connection, developer_id: str) -> Developer:
    """Raises Refused (NOT_FOUND)."""
    row = db.execute(f"SELECT {COLUMNS} FROM developers WHERE developer_id = ?", (developer_id,)).fetchone()
    if row is None:
        raise Refused("NOT_FOUND", f"There is no developer {developer_id}.")
    return Developer(**row)


def require_enabled(db: sqlite3.Connection, developer_id: str) -> None:
    """Raises Refused (NOT_FOUND, DEVELOPER_DISABLED)."""
    if get(db, developer_id).disabled_at is not None:
        raise Refused("DEVELOPER_DISABLED", f"Developer {developer_id} is disabled.")


def disable(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, reason: str) -> Developer:
    """End all tokens, passkeys, keys, open uploads, preview links, the webhook and the publishers of a developer; no
    new ones.

    A key that signs an app which was transferred stays: its new owner needs it. Requests under way place no package
    more, because the rows of their uploads are gone. Raises Refused (NOT_FOUND; FORBIDDEN for the
    actor itself: the last administrator would lock everybody out).
    """
    if actor.developer_id == developer_id:
        raise Refused("FORBIDDEN", "Nobody disables the own account: use the token of another administrator.")
    if get(tx, developer_id).disabled_at is None:
        ended, at = ending(tx, developer_id), now()
        for change, _, which in ENDED.values():
            tx.execute(f"{change} WHERE {which}", {"at": at, "developer_id": developer_id})
        tx.execute("UPDATE developers SET disabled_at = ? WHERE developer_id = ?", (at, developer_id))
        audit.append(tx, actor, "developer.disable", developer_id, reason=reason, **ended)
    return get(tx, developer_id)


def ending(db: sqlite3.Connection, developer_id: str) -> dict[str, int]:
    """How much of each kind ends if the developer is disabled. Raises Refused (NOT_FOUND)."""
    get(db, developer_id)
    return {
        kind: db.execute(f"SELECT count(*) {place} WHERE {which}", {"developer_id": developer_id}).fetchone()[0]
        for kind, (_, place, which) in ENDED.items()
    }


def enable(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str) -> Developer:
    """Let a disabled developer have tokens and keys again; the old ones stay revoked. Raises Refused (NOT_FOUND)."""
    if get(tx, developer_id).disabled_at is not None:
        tx.execute("UPDATE developers SET disabled_at = NULL WHERE developer_id = ?", (developer_id,))
        audit.append(tx, actor, "developer.enable", developer_id)
    return get(tx, developer_id)


def every(db: sqlite3.Connection, page: Page = ALL) -> list[Developer]:
    """Sorted by id."""
    ordered, values = page.sql(["developer_id"])
    return [Developer(**row) for row in db.execute(f"SELECT {COLUMNS} FROM developers WHERE TRUE{ordered}", values)]
