"""What was deleted for good: an app's id, or the code of a version that was published, which are never used again.

Devices know what they have by id and code, and a catalogue may still name it: other bytes under them would be a fraud.
"""

import sqlite3

from portal.store.clock import now

APP = 0  # in place of a version code: the app itself


def has_app(db: sqlite3.Connection, app_id: str) -> bool:
    """Whether the app was deleted."""
    row = db.execute("SELECT 1 FROM tombstones WHERE app_id = ? AND version_code = ?", (app_id, APP)).fetchone()
    return row is not None


def apps(db: sqlite3.Connection) -> list[str]:
    """The apps that were deleted and are gone: a former release, to which a host went back, knows no tombstones."""
    rows = db.execute(
        "SELECT app_id FROM tombstones WHERE version_code = ? AND app_id NOT IN (SELECT app_id FROM apps) ORDER BY 1",
        (APP,),
    )
    return [row["app_id"] for row in rows]


def of_versions(db: sqlite3.Connection, app_id: str) -> dict[int, str]:
    """Why each deleted version of an app was deleted, by version code."""
    rows = db.execute(
        "SELECT version_code, reason FROM tombstones WHERE app_id = ? AND version_code > ?", (app_id, APP)
    )
    return {row["version_code"]: row["reason"] for row in rows}


def highest(db: sqlite3.Connection, app_id: str) -> int:
    """The highest code of a deleted version; 0 if there is none."""
    query = "SELECT coalesce(max(version_code), 0) FROM tombstones WHERE app_id = ?"
    code: int = db.execute(query, (app_id,)).fetchone()[0]
    return code


def add(tx: sqlite3.Connection, app_id: str, version_code: int, developer_id: str, reason: str) -> None:
    """Note a deletion; the caller writes the audit log."""
    tx.execute(
        "INSERT OR IGNORE INTO tombstones (app_id, version_code, developer_id, deleted_at, reason)"
        " VALUES (?, ?, ?, ?, ?)",
        (app_id, version_code, developer_id, now(), reason),
    )
