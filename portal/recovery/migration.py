"""Migrate a database with a way back: a copy that stays, and a trial on a second copy."""

import fcntl
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from portal.recovery import copies
from portal.recovery.errors import BackupError
from portal.settings import Settings
from portal.store import schema
from portal.store.database import connect
from portal.store.layout import Layout


def migrate(settings: Settings, report: Callable[[str], object]) -> None:
    """Bring an existing database to this release's schema; `report` receives a line per step done.

    Raises DatabaseUnusable, BackupError.
    """
    layout = Layout(settings.root)
    wanted = len(schema.migrations())
    with _in_turn(layout):
        found = schema.usable(layout.database)
        if found.number < wanted:
            report(f"before the migration: {copy_before(layout, wanted)}")
            schema.migrate(layout.database, litestream=settings.litestream)
            report(f"{layout.database}: schema {found.number} -> {wanted}")


@contextmanager
def _in_turn(layout: Layout) -> Iterator[None]:
    """`init` and `serve` may run at the same time: the second finds the database migrated."""
    with (layout.area("data") / "migrate.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy_before(layout: Layout, number: int) -> Path:
    """A copy of the database as it is before its schema is `number`, which no job deletes. Raises BackupError.

    The migration is tried on a second copy: what fails there never touches the database.
    """
    with closing(connect(layout.database, litestream=True)) as connection:
        target = copies.write(connection, layout.snapshots, f"before-schema-{number}")
    trial = target.with_name(f".trial-{target.name}")
    try:
        shutil.copyfile(target, trial)
        schema.migrate(trial, litestream=False)
        copies.check(trial)
    except sqlite3.DatabaseError as error:
        target.unlink()
        raise BackupError(f"The migration to schema {number} fails on a copy of the database: {error}.") from error
    finally:
        copies.discard(trial)
    return target
