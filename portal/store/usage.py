"""How much of the disk the store uses, by area; packages and assets by what the database says of them."""

import sqlite3

from portal.store import files, quotas, versions
from portal.store.layout import Layout

MEASURED = ("data", "catalogue", "temp", "backups")
"""Areas whose files are counted each time."""


def by_area(db: sqlite3.Connection, layout: Layout) -> dict[str, int]:
    """Bytes in use, by area."""
    packages = db.execute(f"SELECT coalesce(sum(size), 0) FROM versions WHERE {versions.PLACED}").fetchone()[0]
    assets = db.execute(f"SELECT coalesce(sum(size), 0) FROM {quotas.EVERY_IMAGE}").fetchone()[0]
    measured = {area: files.disk_usage([layout.area(area)]).bytes for area in MEASURED}
    return {"packages": packages, "assets": assets, **measured}
