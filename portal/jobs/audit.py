"""Verify the audit log: by itself, and against the copies of the database that the backups made.

So a tail that was cut off, or a log that was written anew, shows as far back as the last nightly copy. A
restore from an older copy leaves rows out, and says so in the log: copies that part from it at that row are no fault.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from portal.recovery import copies, lineage
from portal.store import audit, files
from portal.store.clock import now
from portal.store.store import Store

RECHECK_SECONDS = 86400


def recent_faults(store: Store) -> Iterator[str]:
    """As `faults`, but reads the whole log once a day, and otherwise the rows since the last look that found no fault.

    So it costs the same in a log of ten years.
    """
    head, note = audit.head(store.db.read()), store.db.directory / "audit-verified.json"
    verified = _verified(store, note)
    found = list(_faults(store, verified or audit.BEGINNING))
    yield from found
    if not found and verified is None:
        with suppress(OSError):  # a full disk, or a user who may only read
            files.write_file(note, json.dumps([_file(store), *head]).encode())


def _verified(store: Store, note: Path) -> audit.Head | None:
    """The head that was noted within a day, of this very database; a restored one is another file."""
    try:
        file, seq, digest = json.loads(note.read_bytes())
        fresh = abs(now() - note.stat().st_mtime) < RECHECK_SECONDS
        return audit.Head(int(seq), str(digest)) if fresh and file == _file(store) else None
    except (OSError, ValueError, TypeError):  # none yet, or damaged
        return None


def _file(store: Store) -> int:
    return store.layout.database.stat().st_ino


def faults(store: Store, noted: audit.Head | None = None) -> Iterator[str]:
    """One sentence a fault; none when the log is whole. `noted` is a head that was printed earlier."""
    yield from _faults(store, audit.BEGINNING, noted)


def _faults(store: Store, verified: audit.Head, noted: audit.Head | None = None) -> Iterator[str]:
    db = store.db.read()
    if (row := audit.first_fault(db, verified)) is not None:
        yield f"Row {row} of the audit log is missing or not as it was written."
    if noted is not None and not audit.contains(db, noted):
        yield f"The audit log no longer has row {noted.seq} as it was noted."
    for path in _copies(store):
        try:
            head = _head(path)
        except sqlite3.DatabaseError as error:
            yield f"{path} cannot be read: {error}."
            continue
        if not audit.contains(db, head) and not lineage.left_out(db, path):
            own = lineage.origins_of(path) & audit.origins(db)
            whose = "" if own else " That copy is another store's, or this log was written anew."
            yield f"The audit log no longer has row {head.seq} as {path} has it.{whose}"


def left_out(store: Store) -> str | None:
    """A sentence on copies with changes that a restore left out, if there are any; an operator knows of the restore."""
    db, number = store.db.read(), 0
    for path in _copies(store):
        with suppress(sqlite3.DatabaseError):
            number += not audit.contains(db, _head(path)) and lineage.left_out(db, path)
    copies_have = "1 copy has" if number == 1 else f"{number} copies have"
    return f"{copies_have} changes that a restore left out (`store.restore` in the log)." if number else None


def _copies(store: Store) -> Iterator[Path]:
    yield from copies.snapshots(store.layout.snapshots)
    yield from copies.on_drive(store.settings)  # a foreign one too: a log that was written anew looks like that


def _head(path: Path) -> audit.Head:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        copy.row_factory = sqlite3.Row
        return audit.head(copy)
