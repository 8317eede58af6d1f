"""What the store is made of: its settings, its database, its place on disk."""

from dataclasses import dataclass

from portal.settings import Settings
from portal.store import schema
from portal.store.database import Database
from portal.store.layout import Layout
from portal.store.read_only import ReadOnlyDatabase


@dataclass(frozen=True)
class Store:
    settings: Settings
    db: Database
    layout: Layout


def open_store(settings: Settings) -> Store:
    """Raises DatabaseUnusable when the database is missing or not of this program's schema."""
    layout = Layout(settings.root)
    schema.require(layout.database)
    if settings.follow:
        return Store(settings, ReadOnlyDatabase(layout.database, settings.follow.store), layout)
    return Store(settings, Database(layout.database, litestream=settings.litestream), layout)
