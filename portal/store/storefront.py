"""What people see of apps: the entries of a list, and every version that was published."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from portal.store.versions import COLUMNS, PLACED, PlacedVersion

ICON = "icon-64.png"


@dataclass(frozen=True)
class Entry:
    """A published app in a list; `published_at` in seconds since 1970, `icon` the SHA-256 of its `ICON`, hex."""

    app_id: str
    name: str
    description: str
    developer: str
    version_name: str
    published_at: int
    icon: str | None


@dataclass(frozen=True)
class Release:
    """A version that was published, and the name of its app."""

    version: PlacedVersion
    app_name: str


ENTRIES = (
    "SELECT apps.app_id, apps.name, apps.description, developers.name, versions.version_name, versions.published_at,"
    " assets.sha256 FROM json_each(:wanted) AS wanted JOIN apps ON apps.app_id = wanted.value"
    f" JOIN versions ON versions.app_id = apps.app_id AND version_code = apps.published_code AND {PLACED}"
    " JOIN developers ON developers.developer_id = apps.developer_id"
    f" LEFT JOIN assets ON assets.app_id = apps.app_id AND assets.name = '{ICON}' ORDER BY wanted.key"
)
PUBLIC = f"{PLACED} AND +status IN ('published', 'yanked') AND published_at IS NOT NULL"
"""SQL: a version that everybody may see."""


def entries(db: sqlite3.Connection, app_ids: Iterable[str]) -> list[Entry]:
    """The published ones of these apps, in this order."""
    return [Entry(*row) for row in db.execute(ENTRIES, {"wanted": json.dumps([*app_ids])})]


def newest(db: sqlite3.Connection, limit: int) -> list[str]:
    """IDs of the apps whose current version was published last, the latest first."""
    rows = db.execute(
        "SELECT apps.app_id FROM versions CROSS JOIN apps ON apps.app_id = versions.app_id"
        " AND apps.published_code = versions.version_code WHERE status = 'published' ORDER BY status_at DESC LIMIT ?",
        (limit,),
    )
    return [row[0] for row in rows]


def history(db: sqlite3.Connection, app_id: str, *, before: int, limit: int) -> list[PlacedVersion]:
    """Versions that were published, yanked ones included, below the version code `before`, the highest first."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM versions WHERE app_id = ? AND version_code < ? AND {PUBLIC}"
        " ORDER BY version_code DESC LIMIT ?",
        (app_id, before, limit),
    )
    return [PlacedVersion(*row) for row in rows]


def latest_releases(db: sqlite3.Connection, limit: int) -> list[Release]:
    """The versions of all apps that were published last, the latest first; none that was yanked."""
    rows = db.execute(
        f"SELECT {COLUMNS}, apps.name FROM versions JOIN apps USING (app_id)"
        " WHERE status = 'published' ORDER BY status_at DESC LIMIT ?",
        (limit,),
    )
    return [Release(PlacedVersion(*row[:-1]), row[-1]) for row in rows]
