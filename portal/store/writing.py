"""A note that a writer is at work. The kernel keeps it when the writer dies, so that somebody learns of the death.

A writer that dies after its last frame is in the WAL and before the WAL's index counts it leaves a commit that SQLite
overwrites and Litestream may have copied (docs/durability.md). The note is never flushed: after a power cut everything
starts anew, and the WAL's index with it.

A writer also shares the lock of the note's file, which a restore holds alone: no write goes to a database that is being
replaced.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from portal.store.errors import DatabaseBusy
from portal.store.locks import ALONE, SHARED, lock

SUFFIX = "-writing"  # beside the database, as SQLite's own files
YES, NO = b"1", b"0"
WRITING, DIED = 0, 1  # offsets of two bytes: a writer is at work; one has died since `forget`
BARRED_SECONDS = 10.0  # that a restore waits for the last writer
RESTORING = "A restore is running: try again when it has ended."
PRIMARY_CODE = 0xFF  # mask of a result code of SQLite; the rest says where it occurred


@contextmanager
def noted(database: Path) -> Iterator[None]:
    """Note for the block that the holder of the write queue is at work; a note that is found is of one that died.

    A disk that takes no note fails no write: the replica's regular proof finds later what the note would have reported.
    Raises DatabaseBusy during a restore.
    """
    note = _open(database)
    if note is None:
        yield
        return
    try:
        if not lock(note, SHARED):
            raise DatabaseBusy(RESTORING)
        if os.pread(note, 1, WRITING) == YES:
            _put(note, YES, DIED)
        _put(note, YES, WRITING)
        try:
            yield
        except sqlite3.OperationalError as error:
            # A COMMIT whose flush failed leaves the same as one whose writer died.
            if getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_IOERR:
                _put(note, YES, DIED)
            raise
        finally:
            _put(note, NO, WRITING)
    finally:
        os.close(note)


@contextmanager
def barred(database: Path) -> Iterator[bool]:
    """Keep every writer out during the block; False if one does not end within BARRED_SECONDS."""
    note = _open(database)
    if note is None:
        yield True
        return
    try:
        yield lock(note, ALONE, wait=BARRED_SECONDS)
    finally:
        os.close(note)


def are_barred(database: Path) -> bool:
    """Whether a restore keeps writers out."""
    with suppress(OSError):
        note = os.open(_path(database), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return not lock(note, SHARED)
        finally:
            os.close(note)
    return False


def died(database: Path) -> bool:
    """Whether a writer has died at its work since `forget`."""
    note = _read(database)
    return note[DIED:] == YES or (note[:DIED] == YES and _abandoned(database))


def _abandoned(database: Path) -> bool:
    """Whether the note is there while nobody holds the write queue, as a writer would that is still at work."""
    queue = os.open(database.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(queue, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return _read(database)[:DIED] == YES
    except BlockingIOError:
        return False
    finally:
        os.close(queue)


def forget(database: Path) -> None:
    """Forget writers that died; the caller holds the write queue."""
    note = _open(database)
    if note is not None:
        _put(note, NO, DIED)
        os.close(note)


def _open(database: Path) -> int | None:
    with suppress(OSError):
        return os.open(_path(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return None


def _put(note: int, value: bytes, offset: int) -> None:
    with suppress(OSError):
        os.pwrite(note, value, offset)


def _read(database: Path) -> bytes:
    try:
        return _path(database).read_bytes()
    except OSError:
        return b""


def _path(database: Path) -> Path:
    return database.with_name(database.name + SUFFIX)
