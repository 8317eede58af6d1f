"""What the store shows of an app: its name, description and homepage.

Where the manifest of the current version has one of these, that counts, because a reviewer has seen it; the owner edits
the rest, and everything before the first publish.
"""

import json
import sqlite3
from collections.abc import Mapping

from portal.store import apps, audit, versions
from portal.store.apps import App
from portal.store.clock import now
from portal.store.errors import Refused

FIELDS = ("name", "description", "homepage")


def edit(tx: sqlite3.Connection, actor: audit.Actor, app: App, changes: Mapping[str, str | None]) -> App:
    """Change these of FIELDS. Raises Refused (WRONG_STATE) for one that the manifest of the current version decides."""
    described = _described(tx, app)
    fixed = [name for name, value in changes.items() if described.get(name) not in (None, value)]
    if fixed:
        raise Refused(
            "WRONG_STATE",
            f"The store shows the {' and '.join(fixed)} of the current version's manifest: publish a version with"
            " another one.",
        )
    return replace(tx, actor, app, changes)


def replace(tx: sqlite3.Connection, actor: audit.Actor, app: App, changes: Mapping[str, str | None]) -> App:
    """Change these of FIELDS until the next publish, whatever the manifest has: for the operator."""
    different = {name: value for name, value in changes.items() if getattr(app, name) != value}
    if different:
        values = {name: different.get(name, getattr(app, name)) for name in FIELDS}
        tx.execute(
            "UPDATE apps SET name = :name, description = :description, homepage = :homepage, updated_at = :at"
            " WHERE app_id = :app_id",
            {**values, "at": now(), "app_id": app.app_id},
        )
        audit.append(tx, actor, "app.edit", app.app_id, **different)
    return apps.get(tx, app.app_id)


def _described(db: sqlite3.Connection, app: App) -> dict[str, object]:
    if app.published_code is None:
        return {}
    described: dict[str, object] = json.loads(versions.get(db, app.app_id, app.published_code).manifest)
    return described
