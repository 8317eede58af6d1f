"""The rows of icons and screenshots, which `assets` and `proposals` share."""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from portal.store.layout import Layout, image_name


@dataclass(frozen=True)
class Asset:
    """A file below `assets/{app_id}`: `size` in bytes, `sha256` in hex, `updated_at` in seconds since 1970."""

    app_id: str
    name: str
    size: int
    sha256: str
    updated_at: int

    @property
    def file_name(self) -> str:
        """Its name with the beginning of its digest, which no other image of the app ever has."""
        return image_name(self.name, self.sha256)

    def path(self, layout: Layout) -> Path:
        """Its file once everybody sees it."""
        return layout.image(self.app_id, self.name, self.sha256)

    def plain_path(self, layout: Layout) -> Path:
        """The link to that file, or where an older release stored it."""
        return layout.asset(self.app_id, self.name)

    def proposed_path(self, layout: Layout) -> Path:
        """Its file while it waits for a review."""
        return layout.proposed(self.app_id, self.name, self.sha256)


COLUMNS = ", ".join(Asset.__dataclass_fields__)


def of_app(db: sqlite3.Connection, app_id: str) -> list[Asset]:
    """The images that everybody sees of a published app, sorted by name."""
    rows = db.execute(f"SELECT {COLUMNS} FROM assets WHERE app_id = ? ORDER BY name", (app_id,))
    return [Asset(**row) for row in rows]


def insert(tx: sqlite3.Connection, put: Iterable[Asset], table: str = "assets") -> None:
    """Write rows, which replace those of the same names."""
    tx.executemany(
        f"INSERT OR REPLACE INTO {table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?)", [astuple(asset) for asset in put]
    )
