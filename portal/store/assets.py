"""Icons and screenshots of an app, as PNG files that every device may read."""

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
    """Write one PNG for each edge length in pixels, in place of the old ones."""
    return _put(store, actor, app, "icon.put", {f"icon-{edge}.png": png for edge, png in sizes.items()})


def add_screenshot(store: Store, actor: audit.Actor, app: App, png: bytes) -> Asset:
    """Take the lowest free number. Raises Refused (TOO_MANY_SCREENSHOTS)."""
    taken = {asset.name for asset in of_app(store.db.read(), app.app_id)}
    free = [n for n in range(1, SCREENSHOTS_MAX + 1) if _screenshot(n) not in taken]
    if not free:
        raise Refused("TOO_MANY_SCREENSHOTS", f"{app.app_id} has {SCREENSHOTS_MAX} screenshots already; delete one.")
    return put_screenshot(store, actor, app, free[0], png)


def put_screenshot(store: Store, actor: audit.Actor, app: App, number: int, png: bytes) -> Asset:
    """Write screenshot `number`, 1 to 5, in place of an old one."""
    return _put(store, actor, app, "screenshot.put", {_screenshot(number): png})[0]


def delete_screenshot(store: Store, actor: audit.Actor, app: App, number: int) -> None:
    """The other screenshots keep their numbers. Raises Refused (NOT_FOUND)."""
    name = _screenshot(number)
    with store.db.write() as tx:
        if tx.execute("DELETE FROM assets WHERE app_id = ? AND name = ?", (app.app_id, name)).rowcount == 0:
            raise Refused("NOT_FOUND", f"{app.app_id} has no {name}.")
        audit.append(tx, actor, "screenshot.delete", f"{app.app_id}/{name}")
    store.layout.asset(app.app_id, name).unlink(missing_ok=True)


def _screenshot(number: int) -> str:
    if not 1 <= number <= SCREENSHOTS_MAX:
        raise Refused("NOT_FOUND", f"Screenshots have the numbers 1 to {SCREENSHOTS_MAX}.")
    return f"screenshots/{number}.png"


def _put(store: Store, actor: audit.Actor, app: App, action: str, pngs: dict[str, bytes]) -> list[Asset]:
    # The write lock is held over the files too: rows and files of two uploads at once must not mix.
    with store.db.write() as tx:
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
