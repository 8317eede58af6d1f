"""The store: its settings, database and paths."""

from dataclasses import dataclass, field
from threading import BoundedSemaphore

from portal.settings import Settings
from portal.store import schema, writing
from portal.store.database import Database
from portal.store.errors import DatabaseUnusable
from portal.store.layout import Layout
from portal.store.overhead import Overhead
from portal.store.read_only import ReadOnlyDatabase

CHECKS_MAX = 4  # packages that a process validates at once: 10,000 files take 20 MB, and no longer one by one


@dataclass(frozen=True)
class Store:
    settings: Settings
    db: Database
    layout: Layout
    overhead: Overhead = field(default_factory=Overhead, compare=False)
    checks: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(CHECKS_MAX), compare=False)


def open_store(settings: Settings) -> Store:
    """Open an existing store. Raises DatabaseUnusable when its database is missing or has another schema, or a restore
    is replacing it.
    """
    layout = Layout(settings.root)
    require_no_restore(layout)
    schema.require(layout.database)
    if settings.follow:
        return Store(settings, ReadOnlyDatabase(layout.database, settings.follow.store), layout)
    return Store(settings, Database(layout.database, litestream=settings.litestream), layout)


def require_no_restore(layout: Layout) -> None:
    """Raises DatabaseUnusable during a restore."""
    if writing.are_barred(layout.database):
        raise DatabaseUnusable(writing.RESTORING)
