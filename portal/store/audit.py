"""The audit log: append-only rows, each with a hash that covers the row before it.

The log itself reveals a changed or missing row, and a truncated tail unless SQLite's row counter was reset as well.
Anyone who can write the database file can replace the whole log by another valid one: only a copy of the log, or a head
recorded elsewhere, reveals that (`contains`).
"""

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from portal.store import clock_trust
from portal.store.clock import now

GENESIS = "0" * 64
CONTINUED = "continues"  # in the detail of the first row: origins of logs before this one


@dataclass(frozen=True)
class Actor:
    """The originator of an action: a developer with a token, perhaps bound to one app, or the operator on the host."""

    developer_id: str
    scope: str
    token_id: str | None
    address: str
    app_id: str | None = None


OPERATOR = Actor("operator", "admin", None, "host")


class Head(NamedTuple):
    """The last row, whose hash identifies the whole log up to it."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


BEGINNING = Head(0, GENESIS)


class Entry(NamedTuple):
    """One row; `at` is in seconds since 1970, `detail` a JSON object."""

    seq: int
    at: int
    actor: str
    token_id: str | None
    address: str
    action: str
    subject: str
    detail: str
    hash: str


COLUMNS = ", ".join(Entry._fields)


def append(tx: sqlite3.Connection, actor: Actor, action: str, subject: str, **detail: object) -> None:
    """Write one row in the caller's transaction, so that a change and its record stand or fall together."""
    last = head(tx)
    if last.seq == 0:  # so that no two stores have the same origin
        detail["log"] = secrets.token_hex(8)
    text = json.dumps(detail, sort_keys=True, separators=(",", ":"))
    row = (_written(tx) + 1, stamp(tx), actor.developer_id, actor.token_id, actor.address, action, subject, text)
    tx.execute(f"INSERT INTO audit ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, _chain(last.hash, row)))


def stamp(tx: sqlite3.Connection) -> int:
    """The time of what is written now, in seconds since 1970.

    Unless the clock is trusted, it is never before the last row, nor before the time that has come for certain.

    What was written under a clock that is set back would be too old to keep as soon as the clock is right.
    """
    at, row = now(), tx.execute("SELECT at FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    last = row["at"] if row else 0
    if 0 <= at - last <= clock_trust.SKEW_SECONDS:
        return at
    directory = Path(tx.execute("PRAGMA database_list").fetchone()["file"]).parent
    return at if clock_trust.is_trusted(directory) else max(at, last, clock_trust.earliest(directory))


def head(db: sqlite3.Connection) -> Head:
    """The last row, or row 0 of an empty log."""
    row = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(*row) if row else BEGINNING


def head_before(db: sqlite3.Connection, seq: int) -> Head:
    """The row before row `seq`."""
    row = db.execute("SELECT seq, hash FROM audit WHERE seq = ?", (seq - 1,)).fetchone()
    return Head(*row) if row else Head(0, GENESIS)


def origin(db: sqlite3.Connection) -> str | None:
    """The hash of the first row, which identifies this store and its copies; None for an empty log."""
    row = db.execute("SELECT hash FROM audit ORDER BY seq LIMIT 1").fetchone()
    return row[0] if row else None


def origins(db: sqlite3.Connection) -> set[str]:
    """Its origin, and those of the logs that a rebuilt one continues."""
    row = db.execute("SELECT hash, detail FROM audit ORDER BY seq LIMIT 1").fetchone()
    return {row[0], *json.loads(row[1]).get(CONTINUED, [])} if row else set()


def contains(db: sqlite3.Connection, earlier: Head) -> bool:
    """Whether the log contains that head; if the log is valid, it then contains everything before it too."""
    if earlier.seq == 0:
        return earlier.hash == GENESIS
    row = db.execute("SELECT hash FROM audit WHERE seq = ?", (earlier.seq,)).fetchone()
    return row is not None and row["hash"] == earlier.hash


def seconds_behind(db: sqlite3.Connection, earlier: Head, at: int) -> int:
    """Seconds, at the time `at`, since the first row after that head; 0 if there is none."""
    row = db.execute("SELECT min(at) FROM audit WHERE seq > ?", (earlier.seq,)).fetchone()
    return 0 if row[0] is None else max(0, at - row[0])


def entries(db: sqlite3.Connection, after: int = 0) -> Iterator[Entry]:
    """Every row after row number `after`, oldest first."""
    return (Entry(*row) for row in db.execute(f"SELECT {COLUMNS} FROM audit WHERE seq > ? ORDER BY seq", (after,)))


CONDITIONS = {
    "actor": "actor = :actor",
    "action": "(action = :action OR action > :action || '.' AND action < :action || '/')",
    "subject": "(subject = :subject OR subject > :subject || '/' AND subject < :subject || '0')",
    "since": "at >= :since",
    "until": "at < :until",
}
"""What each filter means, in a form for which SQLite has an index; `/` follows `.` in ASCII, and `0` follows `/`."""


def filtered(
    db: sqlite3.Connection,
    *,
    actor: str = "",
    action: str = "",
    subject: str = "",
    since: int = 0,
    until: int = 0,
    last: int = 0,
) -> Iterator[Entry]:
    """The rows of one actor, about one subject and what belongs to it, oldest first; empty and 0 mean all.

    An action without a dot means all that begin with it; `since` and, before which they were written, `until` are
    seconds since 1970.
    """
    wanted = {"actor": actor, "action": action, "subject": subject, "since": since, "until": until}
    conditions = " AND ".join(CONDITIONS[name] for name, value in wanted.items() if value) or "TRUE"
    rows = db.execute(
        f"SELECT {COLUMNS} FROM (SELECT {COLUMNS} FROM audit WHERE {conditions} ORDER BY seq DESC LIMIT :last)"
        " ORDER BY seq",
        {**wanted, "last": last or -1},
    )
    return (Entry(*row) for row in rows)


def about(db: sqlite3.Connection, subject: str, last: int = -1) -> list[tuple[Entry, dict[str, object]]]:
    """The rows about exactly this subject, or the `last` of them, oldest first, with their details."""
    rows = db.execute(f"SELECT {COLUMNS} FROM audit WHERE subject = ? ORDER BY seq DESC LIMIT ?", (subject, last))
    return [(entry, json.loads(entry.detail)) for entry in (Entry(*row) for row in rows)][::-1]


def first_fault(db: sqlite3.Connection, verified: Head = BEGINNING) -> int | None:
    """The number of the first row that is missing or changed, or None if the log is valid.

    The log up to the head `verified`, which must still be there, is not read.
    """
    if not contains(db, verified):
        return verified.seq
    previous, expected = verified.hash, verified.seq + 1
    for entry in entries(db, verified.seq):
        if entry.seq != expected or _chain(previous, entry[:-1]) != entry.hash:
            return expected
        previous, expected = entry.hash, expected + 1
    return expected if _written(db) >= expected else None


def _written(db: sqlite3.Connection) -> int:
    """The number of rows ever written: SQLite counts them separately, so a truncated log shows a gap."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    return row["seq"] if row else 0


def _chain(previous: str, row: tuple[object, ...]) -> str:
    return hashlib.sha256(json.dumps([previous, *row], separators=(",", ":")).encode()).hexdigest()
