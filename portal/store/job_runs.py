"""What scheduled jobs report: their last success and failure, and counters that outlive them."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from portal.faults import sentence
from portal.store import failure_marks
from portal.store.clock import now
from portal.store.database import Database
from portal.store.failure_marks import Mark


@dataclass(frozen=True)
class Run:
    """`failure` is the last one's message; it stands until the job has succeeded again."""

    job: str
    success_at: int | None
    failure_at: int | None
    failure: str | None


FAILURE_MAX = 1000  # characters
EXPECTED = "job_expected_since"  # times among the counters
COLUMNS = ", ".join(Run.__dataclass_fields__)


@contextmanager
def recorded(db: Database, job: str) -> Iterator[None]:
    """Record the block's end as success or failure of `job`; errors propagate to the caller.

    A failure that the database cannot record is marked beside it (`failure_marks`).
    """
    try:
        yield
        _succeed(db, job)
    except Exception as error:
        fail(db, job, error)
        raise


def _succeed(db: Database, job: str) -> None:
    # Not durable: other writers wait for no flush, and what a power cut undoes is recorded again by the next run.
    with db.write(durable=False) as tx:
        tx.execute(
            "INSERT INTO job_runs (job, success_at) VALUES (?, ?)"
            " ON CONFLICT (job) DO UPDATE SET success_at = excluded.success_at, failure = NULL",
            (job, now()),
        )
    failure_marks.clear(db.directory, job)


def fail(db: Database, job: str, error: Exception) -> None:
    """Record a failure of `job`."""
    failure = _brief(sentence(error)) or type(error).__name__
    try:
        with db.write(durable=False) as tx:
            tx.execute(
                "INSERT INTO job_runs (job, failure_at, failure) VALUES (?, ?, ?)"
                " ON CONFLICT (job) DO UPDATE SET failure_at = excluded.failure_at, failure = excluded.failure",
                (job, now(), failure),
            )
    except (sqlite3.Error, OSError):
        failure_marks.write(db.directory, job, failure)
    else:
        failure_marks.clear(db.directory, job)


def _brief(text: str) -> str:
    """One line, as `mosis status` prints it; all of them are in the job's log. rsync writes one for every file."""
    first, *others = text.strip().splitlines() or [""]
    return first[:FAILURE_MAX] + (f" (and {len(others)} more lines, in the job's log)" if others else "")


def every(db: sqlite3.Connection) -> dict[str, Run]:
    """The last run of each job, as far as the database could record it; see `with_marks`."""
    return {row["job"]: Run(**row) for row in db.execute(f"SELECT {COLUMNS} FROM job_runs ORDER BY job")}


def with_marks(runs: Mapping[str, Run], marks: Mapping[str, Mark]) -> dict[str, Run]:
    """`runs` with the failures that the database could not record."""
    marked = {
        job: replace(runs.get(job, Run(job, None, None, None)), failure_at=mark.failure_at, failure=mark.failure)
        for job, mark in marks.items()
    }
    return {**runs, **marked}


def expect(db: Database, jobs: Iterable[str]) -> None:
    """Note since when each of these jobs has been expected, and forget jobs that no longer are."""
    wanted, noted = set(jobs), counters(db.read(), EXPECTED).keys()
    if wanted == noted:
        return
    with db.write() as tx:
        for job in noted - wanted:
            tx.execute("DELETE FROM counters WHERE metric = ? AND label = ?", (EXPECTED, job))
        for job in wanted - noted:
            count(tx, EXPECTED, job, now())


def expected_since(db: sqlite3.Connection, jobs: Iterable[str]) -> dict[str, int]:
    """Since when each job has been expected, in seconds since 1970; where that is not noted, since the first change."""
    first: int | None = db.execute("SELECT min(at) FROM audit").fetchone()[0]
    noted = counters(db, EXPECTED)
    return {job: noted.get(job, now() if first is None else first) for job in jobs}


def count(tx: sqlite3.Connection, metric: str, label: str, number: int) -> None:
    """Add `number` to a counter."""
    tx.execute(
        "INSERT INTO counters (metric, label, value) VALUES (?, ?, ?)"
        " ON CONFLICT (metric, label) DO UPDATE SET value = value + excluded.value",
        (metric, label, number),
    )


def note(tx: sqlite3.Connection, metric: str, values: Mapping[str, int]) -> None:
    """Replace all numbers of a metric."""
    tx.execute("DELETE FROM counters WHERE metric = ?", (metric,))
    for label, value in values.items():
        count(tx, metric, label, value)


def counters(db: sqlite3.Connection, metric: str) -> dict[str, int]:
    return dict(tuple(row) for row in db.execute("SELECT label, value FROM counters WHERE metric = ?", (metric,)))
