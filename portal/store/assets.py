"""Icons and screenshots of an app: PNG files that devices download."""

import sqlite3
from dataclasses import dataclass

from portal.store import audit, files
from portal.store.apps import App
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.store import Store

SCREENSHOTS_MAX = 5


@dataclass(frozen=True)
class Asset:
    """A file below `assets/{app_id}`: `size` in bytes, `sha256` in hex, `updated_at` in seconds since 1970."""

    app_id: str
    name: str
    size: int
    sha256: str
    updated_at: int


COLUMNS = ", ".join(Asset.__dataclass_fields__)


def get(db: sqlite3.Connection, app_id: str, name: str) -> Asset:
    """Raises Refused (NOT_FOUND)."""
    row = db.execute(f"SELECT {COLUMNS} FROM assets WHERE app_id = ? AND name = ?", (app_id, name)).fetchone()
    if row is None:
        raise Refused("NOT_FOUND", f"{app_id} has no {name}.")
    return Asset(**row)


def of_app(db: sqlite3.Connection, app_id: str) -> list[Asset]:
    rows = db.execute(f"SELECT {COLUMNS} FROM assets WHERE app_id = ? ORDER BY name", (app_id,))
    return [Asset(**row) for row in rows]


def put_icon(store: Store, actor: audit.Actor, app: App, sizes: dict[int, bytes]) -> list[Asset]:
    """Replace the icon: `sizes` has one PNG per edge length in pixels."""
    with store.db.write() as tx:
        return _put(store, tx, actor, app, "icon.put", {f"icon-{edge}.png": png for edge, png in sizes.items()})


def add_screenshot(store: Store, actor: audit.Actor, app: App, png: bytes) -> Asset:
    """Store a screenshot under the lowest free number. Raises Refused (TOO_MANY_SCREENSHOTS)."""
    with store.db.write() as tx:
        taken = {asset.name for asset in of_app(tx, app.app_id)}
        name = next((name for name in map(_screenshot, range(1, SCREENSHOTS_MAX + 1)) if name not in taken), None)
        if name is None:
            raise Refused(
                "TOO_MANY_SCREENSHOTS", f"{app.app_id} already has {SCREENSHOTS_MAX} screenshots; delete one first."
            )
        return _put(store, tx, actor, app, "screenshot.put", {name: png})[0]


def put_screenshot(store: Store, actor: audit.Actor, app: App, number: int, png: bytes) -> Asset:
    """Store screenshot `number`, 1 to 5, replacing an existing one. Raises Refused (NOT_FOUND)."""
    name = _screenshot(number)
    with store.db.write() as tx:
        return _put(store, tx, actor, app, "screenshot.put", {name: png})[0]


def delete_screenshot(store: Store, actor: audit.Actor, app: App, number: int) -> None:
    """Delete one screenshot; the others keep their numbers. Raises Refused (NOT_FOUND)."""
    name = _screenshot(number)
    with store.db.write() as tx:
        if tx.execute("DELETE FROM assets WHERE app_id = ? AND name = ?", (app.app_id, name)).rowcount == 0:
            raise Refused("NOT_FOUND", f"{app.app_id} has no {name}.")
        audit.append(tx, actor, "screenshot.delete", f"{app.app_id}/{name}")
        tx.execute("COMMIT")
        # Before the next writer's turn, or this could delete its new file.
        store.layout.asset(app.app_id, name).unlink(missing_ok=True)


def _screenshot(number: int) -> str:
    if not 1 <= number <= SCREENSHOTS_MAX:
        raise Refused("NOT_FOUND", f"Screenshot numbers are 1 to {SCREENSHOTS_MAX}.")
    return f"screenshots/{number}.png"


def _put(
    store: Store, tx: sqlite3.Connection, actor: audit.Actor, app: App, action: str, pngs: dict[str, bytes]
) -> list[Asset]:
    """Write files and rows inside the caller's transaction, so that concurrent uploads never mix theirs."""
    put = []
    for name, png in pngs.items():
        received = files.write_file(store.layout.asset(app.app_id, name), png)
        put.append(Asset(app.app_id, name, received.size, received.sha256, now()))
    tx.executemany(
        f"INSERT OR REPLACE INTO assets ({COLUMNS}) VALUES (?, ?, ?, ?, ?)",
        [(a.app_id, a.name, a.size, a.sha256, a.updated_at) for a in put],
    )
    audit.append(tx, actor, action, app.app_id, names=sorted(pngs))
    return put
