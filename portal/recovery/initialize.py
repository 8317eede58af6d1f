"""Start a new store, but never in place of one that is only lost, or whose volume is not mounted."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from portal.recovery import copies, migration, records
from portal.settings import Settings, config_path
from portal.store import ballast, files, presign, schema
from portal.store.errors import DatabaseUnusable
from portal.store.layout import AREAS, Layout
from portal.store.store import require_no_restore


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
        "schema": found.number if found else None,
        "compatible_from": found.compatible_from if found else None,
    }


def initialize(settings: Settings, report: Callable[[str], object], *, new: bool = False) -> None:
    """Create directories, database and URL keys, or migrate the database; `report` receives a line per step done.

    Raises DatabaseUnusable. Where copies of a lost database exist it starts no empty one; where the deploy has noted a
    store, only if it is to be a `new` one.
    """
    require_own_store(settings)
    layout = Layout(settings.root)
    require_no_restore(layout)
    found = schema.found(layout.database)
    if found is None and (lost := lost_store(settings, new=new)):
        raise DatabaseUnusable(f"{layout.database} is missing, {lost}")
    for area in AREAS:
        files.make_directory(layout.area(area))
    if found is None:
        schema.migrate(layout.database, litestream=settings.litestream)
    migration.migrate(settings, report)
    presign.create(layout.presign_keys)
    ballast.take(layout)


def lost_store(settings: Settings, *, new: bool = False) -> str | None:
    """Why a store without a database is not new but lost, and the remedy; None if it is new."""
    if copies.exist(settings):
        return "but there are backups of it: run `mosis restore`."
    layout = Layout(settings.root)
    if not new and any(True for _ in records.every(layout.area("packages"))):
        return (
            f"but {layout.area('packages')} has packages of a store: attach its drive and run `mosis restore`, or run"
            " `mosis rebuild`. To start a new, empty store instead, move them away."
        )
    if not new and (noted := noted_store()):
        return (
            f"but {noted} notes a store on this host: mount its volume, or run `mosis restore`. To start a new, empty"
            " store instead: `mosis setup --new`."
        )
    return None


def require_own_store(settings: Settings) -> None:
    """Raises DatabaseUnusable on a standby."""
    if settings.follow:
        raise DatabaseUnusable(f"This host is a standby of {settings.follow.store}: its data comes from there.")


def noted_store() -> Path | None:
    """The file beside the settings in which the deploy notes that a store lives on this host.

    It is outside the store's root, unless the settings are inside, as in the runtime `local`: then nothing is known.
    """
    note = config_path().with_name("store.json")
    return note if note.exists() else None
