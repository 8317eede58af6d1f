"""SQLite files beside the store's database that may be lost: begun anew when damaged or written by another release."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BUSY_SECONDS = 5
PRIMARY_CODE = 0xFF  # mask of a result code of SQLite
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is of no use any more: a full disk or a lock destroys nothing.

    An error without a code is Python's own, of text that is not UTF-8.
    """
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & PRIMARY_CODE in DAMAGED


def damage(reason: str) -> sqlite3.DatabaseError:
    """An error for which `is_damaged` is true."""
    error = sqlite3.DatabaseError(reason)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def discard(path: Path) -> None:
    """Delete the file, for the next one to open it to begin anew."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


@contextmanager
def at_once(db: sqlite3.Connection) -> Iterator[None]:
    """All changes of the block, or none."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


@dataclass(frozen=True)
class Format:
    """What a file contains: the statements that create it, and their version, at least 1."""

    schema: str
    version: int

    def open(self, path: Path) -> sqlite3.Connection:
        """A connection for reading and writing, in autocommit mode. Raises sqlite3.Error."""
        try:
            return self._opened(path)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            discard(path)
            return self._opened(path)

    def read(self, path: Path) -> sqlite3.Connection:
        """A connection for reading; to an empty database if the file cannot be read."""
        with suppress(sqlite3.DatabaseError):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
            with suppress(sqlite3.DatabaseError):
                if _version(connection) == self.version:
                    return connection
            connection.close()
        return self.empty()

    def empty(self) -> sqlite3.Connection:
        """A connection to an empty database in memory."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        self._create(connection)
        return connection

    def _opened(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # others read while one writes
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo the last writes
            if _version(connection) == 0:
                self._create(connection)
            if _version(connection) != self.version:
                raise damage("of another release")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.executescript(f"BEGIN IMMEDIATE; {self.schema} PRAGMA user_version = {self.version}; COMMIT;")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
