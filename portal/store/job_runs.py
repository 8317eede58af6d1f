"""What scheduled jobs report: their last success and failure, and counters that outlive them."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from portal.store.clock import now
from portal.store.database import Database


@dataclass(frozen=True)
class Run:
    """`failure` is the last one's message; it stands until the job has succeeded again."""

    job: str
    success_at: int | None
    failure_at: int | None
    failure: str | None


COLUMNS = ", ".join(Run.__dataclass_fields__)


@contextmanager
def recorded(db: Database, job: str) -> Iterator[None]:
    """Record the block's end as success or failure of `job`; errors propagate to the caller."""
    try:
        yield
    except Exception as error:
        with db.write() as tx:
            tx.execute(
                "INSERT INTO job_runs (job, failure_at, failure) VALUES (?, ?, ?)"
                " ON CONFLICT (job) DO UPDATE SET failure_at = excluded.failure_at, failure = excluded.failure",
                (job, now(), str(error)),
            )
        raise
    with db.write() as tx:
        tx.execute(
            "INSERT INTO job_runs (job, success_at) VALUES (?, ?)"
            " ON CONFLICT (job) DO UPDATE SET success_at = excluded.success_at, failure = NULL",
            (job, now()),
        )


def every(db: sqlite3.Connection) -> dict[str, Run]:
    return {row["job"]: Run(**row) for row in db.execute(f"SELECT {COLUMNS} FROM job_runs ORDER BY job")}


def expected_since(db: sqlite3.Connection) -> int:
    """When the store began to expect its jobs: its first change, in seconds since 1970; now where it has none."""
    first: int | None = db.execute("SELECT min(at) FROM audit").fetchone()[0]
    return now() if first is None else first


def count(tx: sqlite3.Connection, metric: str, label: str, number: int) -> None:
    """Add `number` to a counter."""
    tx.execute(
        "INSERT INTO counters (metric, label, value) VALUES (?, ?, ?)"
        " ON CONFLICT (metric, label) DO UPDATE SET value = value + excluded.value",
        (metric, label, number),
    )


def counters(db: sqlite3.Connection, metric: str) -> dict[str, int]:
    return dict(tuple(row) for row in db.execute("SELECT label, value FROM counters WHERE metric = ?", (metric,)))
