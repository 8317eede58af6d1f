"""How long versions are kept, by status; a version without a rule is kept forever."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from portal.store import audit
from portal.store.clock_trust import Leap
from portal.store.releases import LOWEST, LOWEST_OF_NEWER, REPLACED
from portal.store.versions import UNPLACED

HOUR, DAY = 3600, 86400


@dataclass(frozen=True)
class Rule:
    """Versions with `status` are kept for `seconds` from the time in the column `since`, and until `unneeded` holds.

    `unneeded` is SQL about a row of `versions`.
    """

    label: str
    status: str
    since: str
    seconds: int
    unneeded: str = "TRUE"

    @property
    def due(self) -> str:
        """SQL: the row of `versions` was kept long enough at the time `:until`, and is not needed."""
        return f"{self.since} <= :until AND {self.unneeded}"


RULES = (
    Rule("superseded", "published", "superseded_at", 365 * DAY, unneeded=REPLACED),
    Rule("draft", "draft", "status_at", 30 * DAY),
    Rule("rejected", "rejected", "status_at", 7 * DAY),
    Rule("failed", "failed", "status_at", 24 * HOUR),
    Rule("uploading", "uploading", "status_at", 1 * HOUR),
)
SUPERSEDED = RULES[0]
UPLOAD_SECONDS = next(rule.seconds for rule in RULES if rule.status == "uploading")


class Expired(NamedTuple):
    """A version whose retention has ended; `version_code` is None if its package was never placed."""

    version_id: str
    developer_id: str
    app_id: str
    version_code: int | None

    def __str__(self) -> str:
        return f"{self.app_id}/{self.version_code or self.version_id}"


COLUMNS = ", ".join(Expired._fields)
PAGE = 64
# In the order of the index versions_by_status; rowids tell versions of one second apart. Each page begins where the
# last one ended, so that together they read every version once. There is no sort, which could need room on a full disk.
NEXT = """
    SELECT {columns}, status_at, rowid FROM (
        SELECT *, rowid FROM versions WHERE status = :status AND status_at = :after_at AND rowid > :after
        ORDER BY rowid) AS versions
    WHERE {due}
    UNION ALL
    SELECT {columns}, status_at, rowid FROM (
        SELECT *, rowid FROM versions WHERE status = :status AND status_at > :after_at
        ORDER BY status_at, rowid) AS versions
    WHERE {due}
    LIMIT :page"""


def due(db: sqlite3.Connection, rule: Rule, at: int) -> Iterator[Expired]:
    """Versions expired by `rule` at the time `at`, in seconds since 1970, in constant memory.

    They may be deleted meanwhile: no read is open between two pages.
    """
    query = NEXT.format(columns=COLUMNS, due=rule.due)
    place = {"after_at": -1, "after": -1}
    while page := db.execute(
        query, {"status": rule.status, "until": at - rule.seconds, "page": PAGE, **place}
    ).fetchall():
        yield from (Expired(*row[:-2]) for row in page)
        place = {"after_at": page[-1]["status_at"], "after": page[-1]["rowid"]}


def delete(tx: sqlite3.Connection, rule: Rule, at: int, version_id: str) -> bool:
    """Delete the row of one version, if it is still due."""
    deleted = tx.execute(
        f"DELETE FROM versions WHERE version_id = :version_id AND status = :status AND {rule.due}",
        {"version_id": version_id, "status": rule.status, "until": at - rule.seconds},
    )
    return deleted.rowcount == 1


def postpone(tx: sqlite3.Connection, leap: Leap) -> None:
    """Count the retention of what was written while the clock was behind from the time that it really was, at most."""
    moved = {"seconds": leap.seconds, "since": leap.since, "until": leap.until}
    for column in sorted({rule.since for rule in RULES}):
        tx.execute(
            f"UPDATE versions SET {column} = {column} + :seconds WHERE {column} BETWEEN :since AND :until", moved
        )
    tx.execute(
        "UPDATE versions SET created_at = status_at"
        " WHERE status = 'uploading' AND created_at BETWEEN :since AND :until",
        moved,
    )
    tx.execute(
        "UPDATE proposals SET rejected_at = rejected_at + :seconds WHERE rejected_at BETWEEN :since AND :until", moved
    )
    audit.append(tx, audit.OPERATOR, "clock.leap", "versions", **moved)


def count_placed_due(db: sqlite3.Connection, at: int) -> tuple[int, int]:
    """How many versions whose packages are in place are due at the time `at`, and how many there are."""
    due_now = sum(
        db.execute(
            f"SELECT count(*) FROM versions WHERE status = :status AND {rule.due}",
            {"status": rule.status, "until": at - rule.seconds},
        ).fetchone()[0]
        for rule in RULES
        if rule.status not in UNPLACED
    )
    return due_now, db.execute(f"SELECT count(*) FROM versions WHERE status NOT IN {UNPLACED}").fetchone()[0]


class Needed(NamedTuple):
    """A version that is kept longer, because devices from API level `lowest` to below `end` install no newer one."""

    app_id: str
    version_code: int
    lowest: int
    end: int

    def __str__(self) -> str:
        levels = f"API level {self.lowest}" + (f" to {self.end - 1}" if self.end > self.lowest + 1 else "")
        where = levels if self.lowest else f"API levels below {self.end}"
        return f"{self.app_id}/{self.version_code}: devices of {where} install no newer version"


def needed(db: sqlite3.Connection, at: int) -> list[Needed]:
    """The superseded versions that are kept at the time `at` only because devices still install them."""
    rows = db.execute(
        f"SELECT app_id, version_code, {LOWEST}, {LOWEST_OF_NEWER} FROM versions"
        f" WHERE status = 'published' AND superseded_at <= ? AND NOT {REPLACED} ORDER BY app_id, version_code",
        (at - SUPERSEDED.seconds,),
    )
    return [Needed(*row) for row in rows]
