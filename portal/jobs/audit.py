"""Verify the audit log: by itself, and against the copies of the database that the backups made.

So a tail that was cut off, or a log that was written anew, shows as far back as the last nightly copy. Restoring the
database from an older copy loses the rows since, and is told in the same words until the newer copies are gone.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from portal.recovery import copies
from portal.store import audit
from portal.store.store import Store


def faults(store: Store, noted: audit.Head | None = None) -> Iterator[str]:
    """One sentence a fault; none when the log is whole. `noted` is a head that was printed earlier."""
    db = store.db.read()
    if (row := audit.first_fault(db)) is not None:
        yield f"Row {row} of the audit log is missing or not as it was written."
    if noted is not None and not audit.contains(db, noted):
        yield f"The audit log no longer has row {noted.seq} as it was noted."
    for path in _copies(store):
        try:
            head = _head(path)
        except sqlite3.DatabaseError as error:
            yield f"{path} cannot be read: {error}."
            continue
        if not audit.contains(db, head):
            yield f"The audit log no longer has row {head.seq} as {path} has it."


def _copies(store: Store) -> Iterator[Path]:
    yield from copies.snapshots(store.layout.snapshots)
    yield from copies.on_drive(store.settings)


def _head(path: Path) -> audit.Head:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        copy.row_factory = sqlite3.Row
        return audit.head(copy)
