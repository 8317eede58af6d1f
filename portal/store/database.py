"""SQLite: one connection a thread, writers one at a time and in turn.

The pragmas follow what Litestream asks for: WAL, and no checkpoints of our own while it owns them.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.store.errors import DatabaseBusy

BUSY_TIMEOUT_MS = 5000
TURN_SECONDS = 60.0  # a writer waits for those before it; nginx waits for an answer twice as long
AUTOCHECKPOINT_PAGES = 1000


class Database:
    """Connections to an existing database, which `schema.require` has found to be one for this program."""

    def __init__(self, path: Path, *, litestream: bool) -> None:
        self._path = path
        self._litestream = litestream
        self._local = threading.local()
        self._turn = threading.Lock()

    def read(self) -> sqlite3.Connection:
        """This thread's connection; each statement outside `write` sees the last commit."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self._path, litestream=self._litestream)
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from the start; rolled back when the block raises.

        A block that must know whether it was committed says COMMIT itself, last.
        Raises DatabaseBusy after TURN_SECONDS behind writers of this process (in the queue of processes it waits for as
        long as it takes), or BUSY_TIMEOUT_MS behind another program.
        """
        connection = self.read()
        with self._in_turn():
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    raise DatabaseBusy("Another program is writing to the database: try again later.") from error
                raise
            try:
                yield connection
                if connection.in_transaction:
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise DatabaseBusy(f"Others wrote to the database for {TURN_SECONDS:g} s: try again later.")
        try:
            with turn(self._path):
                yield
        finally:
            self._turn.release()

    def close(self) -> None:
        """Close this thread's connection."""
        connection = self.__dict__["_local"].__dict__.pop("connection", None)
        if connection is not None:
            connection.close()


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """SQLite's writers ask again and again, and who asks at the wrong moments gives up: processes wait in a queue here.

    It is flock(2), which wakes in order; within a process threads need a lock of their own before it. What is locked is
    the directory, as closing a second descriptor of the database would give up SQLite's own locks.
    """
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def connect(path: Path, *, litestream: bool, mode: str = "rw") -> sqlite3.Connection:
    """Open a database file in autocommit mode. Raises sqlite3.OperationalError when it is missing."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    # Two processes that both checkpoint can corrupt SQLite up to 3.51.2: while Litestream runs, only it may.
    connection.execute(f"PRAGMA wal_autocheckpoint = {0 if litestream else AUTOCHECKPOINT_PAGES}")
    return connection
