"""Start a new store, but never over one that is only lost."""

from collections.abc import Callable
from typing import TypedDict

from portal.recovery import copies, migration
from portal.settings import Settings
from portal.store import files, presign, schema
from portal.store.errors import DatabaseUnusable
from portal.store.layout import AREAS, Layout


class Pending(TypedDict):
    """What `initialize` would find; schemas are numbers of migrations, None without a database."""

    pending: bool
    wanted: int
    schema: int | None
    compatible_from: int | None


def pending(settings: Settings) -> Pending:
    """Whether `initialize` has anything to do. Raises DatabaseUnusable."""
    layout, wanted = Layout(settings.root), len(schema.migrations())
    found = schema.found(layout.database)
    return {
        "pending": found is None or found.number < wanted or not layout.presign_keys.exists(),
        "wanted": wanted,
        "schema": found and found.number,
        "compatible_from": found and found.compatible_from,
    }


def initialize(settings: Settings, report: Callable[[str], object]) -> None:
    """Create directories, database and URL keys, or migrate the database; `report` receives a line per step done.

    Raises DatabaseUnusable, and where copies of a lost database exist it starts no empty one.
    """
    require_own_store(settings)
    layout = Layout(settings.root)
    found = schema.found(layout.database)
    if found is None and copies.exist(settings):
        raise DatabaseUnusable(f"{layout.database} is missing, but there are backups of it: run `mosis restore`.")
    for area in AREAS:
        files.make_directory(layout.area(area))
    if found is None:
        schema.migrate(layout.database, litestream=settings.litestream)
    migration.migrate(settings, report)
    presign.create(layout.presign_keys)


def require_own_store(settings: Settings) -> None:
    """Raises DatabaseUnusable on a standby."""
    if settings.follow:
        raise DatabaseUnusable(f"This host is a standby of {settings.follow.store}: its data comes from there.")
