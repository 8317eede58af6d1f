"""Proves that the replica is the store: restores it beside the store and compares it."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal import thresholds
from portal.recovery import copies, lineage
from portal.recovery.errors import BackupError
from portal.settings import MIB
from portal.store import audit, files, schema
from portal.store.audit import Head
from portal.store.clock import now
from portal.store.database import connect
from portal.store.layout import Layout

PLACE = "replica-proof"  # below temp/
TRIES = 3  # Litestream may compact what is being read
SETTLE_SECONDS = 2.5  # Litestream copies every second
SPARE_BYTES = 64 * MIB  # that a proof leaves free on the disk


class Behind(BackupError):
    """The replica is good, but old."""


class NoRoom(BackupError):
    """The disk has no room for a proof, which says nothing about the replica."""


@dataclass(frozen=True)
class Proof:
    """The last row of the audit log in the replica."""

    head: int


def prove(layout: Layout) -> Proof:
    """Raises BackupError unless the replica can be restored, is whole, and has what the store had when this began."""
    with _place(layout) as restored:
        before = _head(layout.database)
        time.sleep(SETTLE_SECONDS)
        _fetch(layout, restored)
        return _compare(layout, restored, before)


def is_ahead(layout: Layout) -> bool:
    """Whether the replica ends with a change that the store lacks, and that no restore left out. Raises BackupError.

    Then the database is older than the replica, or another one: somebody put it there.
    """
    with _place(layout) as restored:
        _fetch(layout, restored)
        with closing(connect(layout.database, litestream=True, mode="ro")) as store:
            return not audit.contains(store, _head(restored)) and not lineage.left_out(store, restored)


@contextmanager
def _place(layout: Layout) -> Iterator[Path]:
    place = layout.staging(PLACE)
    files.discard(place)
    _require_room(layout)
    place.mkdir()
    try:
        yield place / "portal.db"
    finally:
        files.discard(place)


def _require_room(layout: Layout) -> None:
    size = sum(path.stat().st_size for path in (layout.database, layout.wal) if path.exists())
    if shutil.disk_usage(layout.area("temp")).free < size + SPARE_BYTES:
        raise NoRoom("The disk has no room to restore the replica beside the store: free space.")


def _fetch(layout: Layout, target: Path) -> None:
    for left in reversed(range(TRIES)):
        copies.discard(target)
        try:
            copies.from_replica(layout.replica, target)
            copies.check(target)
            schema.usable(target)
        except BackupError:
            if not left:
                raise
        else:
            return


def _compare(layout: Layout, restored: Path, before: Head) -> Proof:
    head = _head(restored)
    with closing(connect(layout.database, litestream=True, mode="ro")) as store:
        if not audit.contains(store, head):
            raise BackupError(f"The replica's row {head.seq} of the audit log is not this store's.")
        lag = audit.seconds_behind(store, head, now()) if head.seq < before.seq else 0
    if lag > thresholds.REPLICA_LAG_SECONDS_MAX:
        raise Behind(f"A change that was made {lag} s ago is not in the replica.")
    return Proof(head.seq)


def _head(database: Path) -> Head:
    with closing(connect(database, litestream=True, mode="ro")) as db:
        return audit.head(db)
