"""Developers: the accounts that publish apps."""

import sqlite3
from dataclasses import dataclass

from portal.store import audit
from portal.store.clock import now
from portal.store.errors import Refused


@dataclass(frozen=True)
class Developer:
    developer_id: str
    name: str
    created_at: int


COLUMNS = ", ".join(Developer.__dataclass_fields__)


def add(tx: sqlite3.Connection, actor: audit.Actor, developer_id: str, name: str) -> Developer:
    """Add a developer. Raises Refused (DEVELOPER_EXISTS)."""
    developer = Developer(developer_id, name, now())
    added = tx.execute(
        f"INSERT INTO developers ({COLUMNS}) VALUES (?, ?, ?) ON CONFLICT (developer_id) DO NOTHING",
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


def every(db: sqlite3.Connection) -> list[Developer]:
    return [Developer(**row) for row in db.execute(f"SELECT {COLUMNS} FROM developers ORDER BY developer_id")]
