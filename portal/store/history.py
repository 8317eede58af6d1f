"""What the portal measures of itself, for 90 days, in `data/history.db`: rings in which the newest row replaces the
oldest.

A day in steps of 10 minutes, a week in hours, 90 days in steps of 6 hours: 675 rows, which take less than 1 MB for
ever. The file is not part of the store's database, which is copied to the replica with each change. It may be lost: a
history then begins anew, and nothing else depends on it.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from portal.store import disposable
from portal.store.clock import now
from portal.store.disposable import Format
from portal.store.layout import Layout

HOUR = 3600
DAY = 24 * HOUR
PERIOD = 300  # seconds between two samples

FORMAT = Format(
    """
CREATE TABLE IF NOT EXISTS samples (
    step    INTEGER NOT NULL, -- seconds that a row stands for
    at      INTEGER NOT NULL, -- when they begin, since 1970
    seconds INTEGER NOT NULL, -- how many of them were measured
    counted TEXT NOT NULL,    -- JSON: what happened in them
    noted   TEXT NOT NULL,    -- JSON: how it was at the last sample
    PRIMARY KEY (step, at)
) STRICT; -- with rowids: counting rows reads the index alone
CREATE TABLE IF NOT EXISTS counters ( -- of each server that counts, as they were at its last sample
    server  TEXT PRIMARY KEY,
    at      INTEGER NOT NULL,
    counted TEXT NOT NULL
) STRICT, WITHOUT ROWID;
""",
    version=1,
)

Figures = Mapping[str, Mapping[str, int]]
"""Counts and bytes by figure and label, such as `{"requests": {"5xx": 1}}`."""


@dataclass(frozen=True)
class Ring:
    """Rows of `step` seconds each, which together cover `span` seconds."""

    step: int
    span: int

    @property
    def size(self) -> int:
        """How many rows are kept: one more than the span needs, because it rarely begins with a step."""
        return self.span // self.step + 1


RINGS = (Ring(2 * PERIOD, DAY), Ring(HOUR, 7 * DAY), Ring(6 * HOUR, 90 * DAY))


@dataclass(frozen=True)
class Measured:
    """Counters of one server since it started, and how things are now."""

    counted: Figures
    noted: Figures


@dataclass(frozen=True)
class Row:
    """A step from `at`, in seconds since 1970: what happened in the `seconds` of it that were measured."""

    at: int
    seconds: int
    counted: Figures
    noted: Figures

    def labelled(self, figure: str) -> Mapping[str, int]:
        """The values of a figure by its label."""
        return self.counted.get(figure) or self.noted.get(figure) or {}


def added(parts: Iterable[Figures]) -> Figures:
    """The sums of figures."""
    found: dict[str, dict[str, int]] = {}
    for part in parts:
        for figure, values in part.items():
            into = found.setdefault(figure, {})
            for label, value in values.items():
                into[label] = into.get(label, 0) + value
    return found


class History:
    """One connection to the history of a store."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def open(cls, layout: Layout) -> Self:
        """For reading and writing. Raises sqlite3.Error."""
        return cls(FORMAT.open(layout.history))

    @classmethod
    def read(cls, layout: Layout) -> Self:
        """For reading; an empty history if it cannot be read."""
        return cls(FORMAT.read(layout.history))

    def close(self) -> None:
        self._db.close()

    def rows(self, ring: Ring, span: int | None = None) -> list[Row]:
        """The rows of the ring's span, or of so many seconds, up to now, oldest first. Raises sqlite3.DatabaseError."""
        until = now()
        found = self._db.execute(
            "SELECT at, seconds, counted, noted FROM samples WHERE step = ? AND at > ? AND at <= ? ORDER BY at",
            (ring.step, until - (span or ring.span) - ring.step, until),
        )
        return [Row(at, seconds, _figures(counted), _figures(noted)) for at, seconds, counted, noted in found]

    def sampled_at(self) -> int | None:
        """When the last sample was taken, in seconds since 1970; None if never."""
        at: int | None = self._db.execute("SELECT max(at) FROM counters WHERE at <= ?", (now(),)).fetchone()[0]
        return at

    def sample(self, server: str, measure: Callable[[], Measured]) -> bool:
        """Measure, and add what has happened since the last sample of this server; false if that was a moment ago.

        All workers of a server call this at the same time, and one of them measures. Counters of a server that is not
        known yet have no beginning: they count from its next sample on. Raises sqlite3.Error.
        """
        with disposable.at_once(self._db):
            at, known = now(), self._known()
            if server in known and 0 <= at - known[server] < PERIOD // 2:
                return False
            measured = measure()
            counted = self._since_last(server, measured.counted)
            self._db.execute("DELETE FROM counters WHERE abs(at - ?) > ?", (at, DAY))
            self._db.execute("INSERT OR REPLACE INTO counters VALUES (?, ?, ?)", (server, at, _text(measured.counted)))
            middle = at - min(max(at - known.get(server, at), 0), PERIOD) // 2
            for ring in RINGS:
                self._add(ring, at, Row(middle, _elapsed(at, known, server), counted, measured.noted))
        return True

    def _known(self) -> dict[str, int]:
        return dict(self._db.execute("SELECT server, at FROM counters").fetchall())

    def _since_last(self, server: str, counted: Figures) -> Figures:
        row = self._db.execute("SELECT counted FROM counters WHERE server = ?", (server,)).fetchone()
        before: Figures = _figures(row[0]) if row else counted
        return {
            figure: {label: value - before.get(figure, {}).get(label, 0) for label, value in values.items()}
            for figure, values in counted.items()
        }

    def _add(self, ring: Ring, at: int, row: Row) -> None:
        begin = row.at - row.at % ring.step
        found = self._db.execute(
            "SELECT seconds, counted FROM samples WHERE step = ? AND at = ?", (ring.step, begin)
        ).fetchone()
        seconds, counted = (found[0], _figures(found[1])) if found else (0, {})
        total = added((counted, row.counted))
        self._db.execute(
            "INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?)",
            (ring.step, begin, min(seconds + row.seconds, ring.step), _text(total), _text(row.noted)),
        )
        self._bound(ring, at)

    def _bound(self, ring: Ring, at: int) -> None:
        """Keep the rows that are nearest to now: a clock that was wrong for a while costs a row for each of its own."""
        self._db.execute(
            "DELETE FROM samples WHERE step = ?1 AND at IN"
            " (SELECT at FROM samples WHERE step = ?1 ORDER BY abs(at - ?2) LIMIT -1 OFFSET ?3)",
            (ring.step, at, ring.size),
        )


def _figures(text: str) -> Figures:
    """Raises sqlite3.DatabaseError for text that was damaged on the disk, which SQLite does not notice."""
    try:
        figures: Figures = json.loads(text)
    except ValueError:
        raise disposable.damage("a row is not JSON") from None
    return figures


def _text(figures: Figures) -> str:
    return json.dumps(figures, separators=(",", ":"))


def _elapsed(at: int, known: Mapping[str, int], server: str) -> int:
    """Seconds that the counts of a sample are of: since the last sample of any server, unless a clock was set."""
    if server not in known:
        return 0
    since = min((at - last for last in known.values() if last <= at), default=PERIOD)
    return since if since < 2 * PERIOD else PERIOD
