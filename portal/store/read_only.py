"""The database of a standby: read-only, because the next pull replaces it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.store.database import Database
from portal.store.errors import DatabaseUnusable


class ReadOnlyDatabase(Database):
    """A copy of the database of the host `store`."""

    def __init__(self, path: Path, store: str) -> None:
        super().__init__(path, litestream=False)
        self._store = store

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Raises DatabaseUnusable."""
        raise DatabaseUnusable(f"This host is a standby; run this on {self._store}, or promote this host.")
        yield
