"""Empties the WAL, which only Litestream checkpoints while it runs: two processes that do can corrupt a database."""

import fcntl
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from portal import thresholds
from portal.store import writing
from portal.store.database import connect, turn
from portal.store.layout import Layout


def empty(database: Path) -> bool:
    """Move what is in the WAL to the database; False where a reader prevents it. Litestream may not run meanwhile.

    What a writer that died left in the WAL is gone then.
    """
    with turn(database), closing(connect(database, litestream=True)) as db:
        busy: int = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if not busy:
            writing.forget(database)
    return not busy


def bound(layout: Layout) -> None:
    """Empty a WAL that is too large because Litestream does not run; while it does, `mosis replicate` sees to it."""
    if not layout.wal.exists() or layout.wal.stat().st_size <= thresholds.WAL_BYTES_MAX:
        return
    with layout.replicate_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        with suppress(sqlite3.OperationalError):  # a disk without room for it: at the next cleanup
            empty(layout.database)
