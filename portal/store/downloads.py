"""How often each published version is downloaded, per day.

Each worker counts in memory and adds to the database from a thread of its own, so no download waits for a write. A
worker that ends loses what it has counted since, so the numbers are a little low; they are no log of who did what.
"""

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from dataclasses import dataclass

from portal.store.clock import now
from portal.store.database import Database
from portal.store.errors import DatabaseBusy

DAY = 86400
FLUSH_SECONDS = 30.0
PENDING_MAX = 10_000  # versions that a worker counts at a time; downloads of more are not counted
KEPT_DAYS = 400  # one by one; earlier ones are kept as one number per version
EARLIER = 0  # in place of a day

ADD = """
    INSERT INTO downloads (app_id, version_code, day, number)
    SELECT app_id, version_code, :day, :number FROM versions
    WHERE app_id = :app_id AND version_code = :code AND status IN ('published', 'yanked')
    ON CONFLICT DO UPDATE SET number = number + excluded.number"""
FOLD = """
    INSERT INTO downloads (app_id, version_code, day, number)
    SELECT app_id, version_code, 0, sum(number) FROM downloads WHERE day BETWEEN 1 AND :last GROUP BY 1, 2
    ON CONFLICT DO UPDATE SET number = number + excluded.number"""


@dataclass(frozen=True)
class Count:
    """Downloads of a version on one day, counted in days since 1970 (UTC), or on all days before those (EARLIER)."""

    version_code: int
    day: int
    number: int


class Counting:
    """The counts of one process, until a timer adds them to the database."""

    def __init__(self, db: Database, *, every: float = FLUSH_SECONDS) -> None:
        """`every`: seconds from the first download that is counted to its flush."""
        self._db, self._every = db, every
        self._lock = threading.Lock()
        self._pending: Counter[tuple[str, int, int]] = Counter()
        self._timer: threading.Timer | None = None

    def add(self, app_id: str, version_code: int) -> None:
        """Count one download; takes no input or output."""
        key = (app_id, version_code, now() // DAY)
        with self._lock:
            if key in self._pending or len(self._pending) < PENDING_MAX:
                self._pending[key] += 1
            if self._timer is None:
                self._timer = threading.Timer(self._every, self._run)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Add what is counted to the database; it stays counted if that fails. Raises sqlite3.Error, DatabaseBusy."""
        with self._lock:
            pending, self._pending, self._timer = self._pending, Counter(), None
        try:
            with self._db.write(durable=False) as tx:
                for (app_id, code, day), number in pending.items():
                    tx.execute(ADD, {"app_id": app_id, "code": code, "day": day, "number": number})
        except BaseException:
            with self._lock:
                self._pending.update(pending)
            raise

    def _run(self) -> None:
        try:
            with closing(self._db):  # this thread's connection
                self.flush()
        except (sqlite3.Error, DatabaseBusy, OSError):  # the next download starts another timer
            return


def fold(tx: sqlite3.Connection, at: int) -> None:
    """Keep only one number per version of the days that are more than KEPT_DAYS before the time `at`."""
    last = {"last": at // DAY - KEPT_DAYS}
    tx.execute(FOLD, last)
    tx.execute("DELETE FROM downloads WHERE day BETWEEN 1 AND :last", last)


def is_any_old(db: sqlite3.Connection, at: int) -> bool:
    """Whether `fold` has something to do."""
    query = "SELECT 1 FROM downloads WHERE day BETWEEN 1 AND ? LIMIT 1"
    return db.execute(query, (at // DAY - KEPT_DAYS,)).fetchone() is not None


def of_app(db: sqlite3.Connection, app_id: str, days: int) -> list[Count]:
    """The counts of an app on each of the last `days` days, oldest first."""
    rows = db.execute(
        "SELECT version_code, day, number FROM downloads WHERE app_id = ? AND day > ? ORDER BY day, version_code",
        (app_id, now() // DAY - days),
    )
    return [Count(*row) for row in rows]


def totals(db: sqlite3.Connection, app_id: str) -> dict[int, int]:
    """All downloads of each version of an app, by version code."""
    query = "SELECT version_code, sum(number) FROM downloads WHERE app_id = ? GROUP BY version_code"
    return dict(tuple(row) for row in db.execute(query, (app_id,)))


def most(db: sqlite3.Connection, days: int, limit: int) -> dict[str, int]:
    """The apps that were downloaded most often in the last `days` days, and how often, the first one first."""
    query = "SELECT app_id, sum(number) FROM downloads WHERE day > ? GROUP BY app_id ORDER BY 2 DESC, 1 LIMIT ?"
    return dict(tuple(row) for row in db.execute(query, (now() // DAY - days, limit)))
