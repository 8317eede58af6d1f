"""The database of a standby: a copy that the next pull replaces, so nobody may write to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.store.database import Database
from portal.store.errors import DatabaseUnusable


class ReadOnlyDatabase(Database):
    """A copy of the database of the store named `store`."""

    def __init__(self, path: Path, store: str) -> None:
        super().__init__(path, litestream=False)
        self._store = store

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Raises DatabaseUnusable."""
        raise DatabaseUnusable(f"This host is a standby: do that on {self._store}, or promote this one.")
        yield
