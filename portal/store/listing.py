"""What the store shows of an app: its name, description and homepage.

Once a version has been published they are those of the current version's manifest, because a reviewer has seen that;
until then the owner edits them.
"""

import sqlite3
from collections.abc import Mapping

from portal.store import apps, audit, search, versions
from portal.store.apps import App
from portal.store.clock import now
from portal.store.errors import Refused

FIELDS = ("name", "description", "homepage")


def edit(tx: sqlite3.Connection, actor: audit.Actor, app: App, changes: Mapping[str, str | None]) -> App:
    """Change these of FIELDS. Raises Refused (WRONG_STATE) once a version of the app has been published."""
    different = [name for name, value in changes.items() if getattr(app, name) != value]
    if different and versions.highest_published(tx, app.app_id):
        raise Refused(
            "WRONG_STATE",
            f"The store shows the {' and '.join(different)} in the manifest of the current version: change"
            " manifest.json and publish another version.",
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
        search.refresh(tx)
        audit.append(tx, actor, "app.edit", app.app_id, **different)
    return apps.get(tx, app.app_id)
