"""Apps: their owner, name, description and current version."""

import sqlite3
from dataclasses import dataclass

from portal.store import audit, search, tombstones
from portal.store.clock import now
from portal.store.errors import Gone, Refused
from portal.store.pages import ALL, Page


@dataclass(frozen=True)
class App:
    """An app; `published_code` is the current version, times are seconds since 1970."""

    app_id: str
    developer_id: str
    name: str
    description: str
    published_code: int | None
    created_at: int
    updated_at: int
    homepage: str | None = None


COLUMNS = ", ".join(f"apps.{field}" for field in App.__dataclass_fields__)
WAS_PUBLIC = (
    "SELECT EXISTS (SELECT 1 FROM versions WHERE app_id = :app_id AND published_at IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM tombstones WHERE app_id = :app_id AND version_code > 0)"
)


def add(tx: sqlite3.Connection, actor: audit.Actor, app_id: str, name: str, description: str) -> App:
    """Add an app of the acting developer.

    Raises Refused (APP_EXISTS; APP_DELETED for an id that is never used again).
    """
    at = now()
    if tombstones.has_app(tx, app_id):
        raise Refused("APP_DELETED", f"The app {app_id} was deleted for good: choose another ID.")
    app = App(app_id, actor.developer_id, name, description, None, at, at)
    added = tx.execute(
        "INSERT INTO apps (app_id, developer_id, name, description, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (app_id) DO NOTHING",
        (app_id, actor.developer_id, name, description, at, at),
    )
    if not added.rowcount:
        raise Refused("APP_EXISTS", f"The app ID {app_id} is already in use.")
    audit.append(tx, actor, "app.add", app_id, name=name)
    return app


def forget_search(tx: sqlite3.Connection, app_id: str) -> None:
    """Take an app that is about to be deleted out of the index that programs of schema 13 and older search."""
    tx.execute(
        "INSERT INTO apps_search (apps_search, rowid, app_id, name, description)"
        " SELECT 'delete', number, app_id, name, description FROM apps WHERE app_id = ?",
        (app_id,),
    )


def get(db: sqlite3.Connection, app_id: str) -> App:
    """Raises Refused (NOT_FOUND)."""
    row = db.execute(f"SELECT {COLUMNS} FROM apps WHERE app_id = ?", (app_id,)).fetchone()
    if row is None:
        raise hidden(db, app_id)
    return App(*row)


def owned(db: sqlite3.Connection, app_id: str, developer_id: str) -> App:
    """The app, if this developer owns it. Raises Refused (NOT_FOUND) otherwise, which hides the apps of others."""
    app = get(db, app_id)
    if app.developer_id != developer_id:
        raise not_found(app_id)
    return app


def not_found(app_id: str) -> Refused:
    return Refused("NOT_FOUND", f"There is no app {app_id}.")


def hidden(db: sqlite3.Connection, app_id: str) -> Refused:
    """The refusal of an app that strangers do not see: Gone if they did once."""
    refused = not_found(app_id)
    return Gone(refused.code, refused.detail) if was_public(db, app_id) else refused


def was_public(db: sqlite3.Connection, app_id: str) -> bool:
    """Whether a version of the app was ever published."""
    return bool(db.execute(WAS_PUBLIC, {"app_id": app_id}).fetchone()[0])


def of_developer(
    db: sqlite3.Connection, developer_id: str, page: Page = ALL, *, only: str | None = None
) -> list[App]:  # fmt: skip
    """Sorted by id; `only` one, if it is the developer's."""
    ordered, values = page.sql(["app_id"])
    rows = db.execute(
        f"SELECT {COLUMNS} FROM apps WHERE developer_id = ? AND (? IS NULL OR app_id = ?){ordered}",
        (developer_id, only, only, *values),
    )
    return [App(*row) for row in rows]


def every(db: sqlite3.Connection, developer_id: str | None = None) -> list[App]:
    """All apps, or those of a developer, published or not."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM apps WHERE ?1 IS NULL OR developer_id = ?1 ORDER BY app_id", (developer_id,)
    )
    return [App(*row) for row in rows]


def published(db: sqlite3.Connection, *, query: str = "", after: str = "", limit: int) -> list[App]:
    """Apps with a current version, sorted by id, at most `limit` of those after the app `after`.

    `query` has words or prefixes of words. Its results come in the order in which the apps were added, the order of the
    index: any other would sort all matches for each page.
    """
    match = search.expression(query)
    if match is not None:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM apps_words JOIN apps ON apps.number = apps_words.rowid"
            " WHERE apps_words MATCH ? AND apps.published_code IS NOT NULL"
            " AND apps_words.rowid > coalesce((SELECT number FROM apps WHERE app_id = ?), 0)"
            " ORDER BY apps_words.rowid LIMIT ?",
            (match, after, limit),
        )
    elif query.strip():
        return []
    else:
        rows = db.execute(
            f"SELECT {COLUMNS} FROM apps WHERE published_code IS NOT NULL AND app_id > ? ORDER BY app_id LIMIT ?",
            (after, limit),
        )
    return [App(*row) for row in rows]
