"""SQLite with one connection per thread and a fair queue of writers.

The pragmas follow Litestream's requirements: WAL, and no checkpoints by the portal while Litestream runs.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from portal.store import writing
from portal.store.errors import DatabaseBusy

BUSY_TIMEOUT_MS = 5000
TURN_SECONDS = 60.0  # a writer's longest wait for those before it; nginx waits for a response twice as long
AUTOCHECKPOINT_PAGES = 1000
REPLACED = "The database was replaced meanwhile, so nothing was written: run this again, or restart the portal."


class Database:
    """Connections to an existing database whose schema `schema.require` has checked."""

    def __init__(self, path: Path, *, litestream: bool) -> None:
        self._path = path
        self._litestream = litestream
        self._local = threading.local()
        self._turn = threading.Lock()

    @property
    def directory(self) -> Path:
        """The directory of the database file."""
        return self._path.parent

    def read(self) -> sqlite3.Connection:
        """This thread's connection; each statement outside `write` reads the last commit."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            self._local.file = _file(self._path)
            connection = self._local.connection = connect(self._path, litestream=self._litestream)
        return connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start and is rolled back when the block raises.

        What decides a write must be read inside the block. A block that must know whether the commit succeeded executes
        COMMIT itself, as its last statement. A power cut may undo a transaction that is not `durable`, unless a durable
        one has followed it; a crash of the program alone never does.
        Raises DatabaseBusy after waiting TURN_SECONDS for writers of this process (for other processes of this program
        it waits without limit), or BUSY_TIMEOUT_MS for another program; and during a restore and after it, for this
        connection is to the database that was replaced.
        """
        connection = self.read()
        with self._in_turn(), _flushed(connection, durable=durable):
            if self._local.file != _file(self._path):
                raise DatabaseBusy(REPLACED)
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    raise DatabaseBusy("Another program is writing to the database; try again later.") from error
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
            raise DatabaseBusy(f"Other writers held the database for {TURN_SECONDS:g} s; try again later.")
        try:
            with turn(self._path):
                yield
        finally:
            self._turn.release()

    def flush(self) -> None:
        """Make what has been committed durable, while other writers have their turns. Raises OSError."""
        with suppress(FileNotFoundError):  # everything is in the database file
            wal = os.open(self._path.with_name(f"{self._path.name}-wal"), os.O_RDONLY)
            try:
                os.fsync(wal)
            finally:
                os.close(wal)

    def close(self) -> None:
        """Close this thread's connection."""
        connection = self.__dict__["_local"].__dict__.pop("connection", None)
        if connection is not None:
            connection.close()


def _file(path: Path) -> tuple[int, int]:
    """Identifies the file among others of its name; zeros if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


@contextmanager
def _flushed(connection: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
    """Whether a COMMIT inside the block flushes the WAL; SQLite ignores the pragma inside a transaction."""
    if durable:
        yield
        return
    connection.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous = FULL")


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Hold the write queue of a database: SQLite's writers poll, so an unlucky one can time out; here they queue.

    A writer that dies in its turn leaves the note of `writing`.
    """
    with queue(path), writing.noted(path):
        yield


@contextmanager
def queue(path: Path) -> Iterator[None]:
    """Hold the queue of those who write the file `path`, or others beside it.

    The queue is flock(2), which wakes waiters in order; threads of one process need a lock of their own before it. It
    locks the directory, because closing a second descriptor of a database would release SQLite's own locks.
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
