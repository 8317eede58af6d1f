"""How much a loss would cost: what the last rehearsal measured, per kind of copy of the database."""

import sqlite3
from dataclasses import dataclass, field

from portal.store import job_runs
from portal.store.store import Store

POINT, TIME = "recovery_point_seconds", "recovery_time_seconds"
LOSSES = {
    "replica": "of the database",
    "snapshot": "of the database and the replica",
    "drive": "of the whole disk",
}
"""Against which loss each kind of copy helps; the drive's with every file on it."""


@dataclass(frozen=True)
class Figures:
    """Seconds per kind of copy: of the acknowledged changes that would be lost, and until the store serves again."""

    point: dict[str, int] = field(default_factory=dict)
    time: dict[str, int] = field(default_factory=dict)


def write(store: Store, figures: Figures) -> None:
    with store.db.write() as tx:
        job_runs.note(tx, POINT, figures.point)
        job_runs.note(tx, TIME, figures.time)


def read(db: sqlite3.Connection) -> Figures:
    return Figures(job_runs.counters(db, POINT), job_runs.counters(db, TIME))


def sentence(figures: Figures) -> str:
    """For people; empty before the first rehearsal."""
    return "; ".join(
        f"loss {loss}: {duration(figures.point[kind])} of changes, back in {duration(figures.time[kind])}"
        for kind, loss in LOSSES.items()
        if kind in figures.point and kind in figures.time
    )


def duration(seconds: int) -> str:
    """Such as `40 s`, `90 min` or `26 h`."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds} s"
