"""`mosis` with a broken promise, for the control: a change is acknowledged a moment before it is committed.

`python -m crash.broken serve` runs a portal that a harness which can fail must find out.
"""

import functools
import random
import sqlite3
import threading
from typing import Any

from portal.cli import main

LATE_SECONDS = 0.03
SHARE = 0.4  # of the commits, so that most requests still find what the one before has written


class LateConnection(sqlite3.Connection):
    """Commits some time after it was asked to."""

    _pending: threading.Timer | None = None

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT" and (self._pending is not None or random.random() < SHARE):
            if self._pending is None:
                self._pending = threading.Timer(LATE_SECONDS, super().execute, ("COMMIT",))
                self._pending.start()
            return super().execute("SELECT 1")
        if sql.startswith("BEGIN") and self._pending is not None:
            self._pending.join()
            self._pending = None
        return super().execute(sql, *parameters)


if __name__ == "__main__":
    connect: Any = functools.partial(sqlite3.connect, factory=LateConnection, check_same_thread=False)
    sqlite3.connect = connect
    main()
