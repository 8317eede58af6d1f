"""Which copy of the database is the newest: the heads of their audit logs say so, never a name or a clock.

A log that contains the head of another is the later one. A restore, or the promotion of a standby, starts a new
timeline, as PostgreSQL calls it: its number is a row of the log, so that copies of what was left out never win again,
however many rows they have.
"""

import json
import shutil
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from portal.recovery import copies, foreign
from portal.recovery.copies import Source
from portal.recovery.errors import BackupError
from portal.store import audit, schema, sessions
from portal.store.clock import rfc3339
from portal.store.errors import DatabaseUnusable

RESTORED, PROMOTED = "store.restore", "store.promote"
BEGINNINGS = f"SELECT seq, detail FROM audit WHERE action IN ('{RESTORED}', '{PROMOTED}') ORDER BY seq"
LOCAL = ("replica", "snapshot")  # kinds of copies on the store's own disk
NAMED = 3  # developers that describe a store
TRIES = 3  # Litestream may compact what is being read


@dataclass(frozen=True)
class Point:
    """How far a database reaches: its timeline, the last row of its log, and when that was written; and of which store.

    `origin` is as in `audit.origin`.
    """

    timeline: int
    head: audit.Head
    at: int
    origin: str | None

    @property
    def reach(self) -> tuple[int, int]:
        """Larger for what is newer."""
        return self.timeline, self.head.seq


@dataclass(frozen=True)
class Copy:
    """A copy whose database can be read, in the file `path`."""

    source: Source
    path: Path
    point: Point

    @property
    def name(self) -> str:
        return self.source.name

    def contains(self, point: Point) -> bool:
        """Whether its log contains that head."""
        with closing(_open(self.path)) as db:
            return audit.contains(db, point.head)


@dataclass(frozen=True)
class Found:
    """Copies that can be read, the newest first, and a sentence for each that cannot, by the name of its source."""

    copies: list[Copy]
    faults: dict[str, str]


def began(db: sqlite3.Connection) -> int:
    """When the database came to this host by a restore or a promotion, in seconds since 1970; 0 if it began here."""
    at: int = db.execute(
        "SELECT coalesce(max(at), 0) FROM audit WHERE action IN (?, ?)", (RESTORED, PROMOTED)
    ).fetchone()[0]
    return at


def newest_of_each_kind(found: Iterable[Copy]) -> list[Copy]:
    """Of copies in the order of `Found`."""
    newest: dict[str, Copy] = {}
    for copy in found:
        newest.setdefault(copy.source.kind, copy)
    return list(newest.values())


def find(sources: Iterable[Source], place: Path) -> Found:
    """Read the head of each; a replica is restored below `place`, one of which there is at most."""
    found: list[Copy] = []
    faults: dict[str, str] = {}
    for source in sources:
        try:
            found.append(_read(source, place))
        except BackupError as error:
            faults[source.name] = str(error)
    return Found(newest_first(found), faults)


def of_store(found: Found, origins: Collection[str | None]) -> Found:
    """Without copies of other stores: the drive may be another one's, or was before."""
    others = {c.name: f"{c.name} is of another store." for c in found.copies if c.point.origin not in origins}
    return Found([copy for copy in found.copies if copy.point.origin in origins], found.faults | others)


def described(copy: Copy) -> str:
    """The store of a copy, as an operator knows it."""
    with closing(_open(copy.path)) as db:
        number = db.execute("SELECT count(*) FROM developers").fetchone()[0]
        first = db.execute("SELECT name FROM developers ORDER BY created_at, rowid LIMIT ?", (NAMED,))
        names = [row[0] for row in first]
        apps = db.execute("SELECT count(*) FROM apps").fetchone()[0]
        began = db.execute("SELECT min(at) FROM audit").fetchone()[0]
    people = f"{', '.join(names)}{' and others' if number > NAMED else ''}"
    return (
        f"{people or 'nobody'}, {'1 app' if apps == 1 else f'{apps} apps'}, begun {rfc3339(began or 0)},"
        f" last changed {rfc3339(copy.point.at)}"
    )


def newest_first(found: Iterable[Copy]) -> list[Copy]:
    return sorted(found, key=lambda copy: copy.point.reach, reverse=True)


def take(copy: Copy, target: Path) -> None:
    """Write it to the new file `target`, whole, harmless, and usable by this release. Raises BackupError."""
    copies.discard(target)
    try:
        shutil.copyfile(copy.path, target)
        copies.check(target)
        schema.usable(target)
        with closing(_open(target)) as db:
            foreign.require_harmless(db)
    except (BackupError, DatabaseUnusable) as error:
        raise BackupError(_named(error, target, copy.name)) from error
    except OSError as error:
        raise BackupError(f"{copy.name} cannot be copied: {error.strerror}.") from error


def _named(error: Exception, path: Path, name: str) -> str:
    """The message with the name of the copy in place of the file that it was read into."""
    text = str(error)
    return name + text.removeprefix(str(path)) if text.startswith(str(path)) else f"{name}: {text}"


def require_whole_log(copy: Copy) -> None:
    """Raises BackupError unless its audit log is valid."""
    try:
        with closing(_open(copy.path)) as db:
            fault = audit.first_fault(db)
    except sqlite3.Error as error:
        raise BackupError(f"{copy.name} cannot be read: {error}.") from error
    if fault is not None:
        raise BackupError(f"{copy.name}: row {fault} of its audit log is missing or not as it was written.")


def parted(one: Copy, other: Copy) -> bool:
    """Whether neither of two copies is an earlier state of the other."""
    return not one.contains(other.point) and not other.contains(one.point)


def surplus(snapshots: Iterable[Path], keep: int, made: Path) -> list[Path]:
    """The snapshots beyond the `keep` newest, of which the one just `made` is one, whatever the clock named it."""
    others = sorted((path for path in snapshots if path != made), key=_worth, reverse=True)
    return others[keep - 1 :]


def _worth(snapshot: Path) -> tuple[tuple[int, int], bool, str]:
    """Larger for a snapshot that is to be kept longer: by its head, then by its name, unless that is in the future."""
    try:
        reach = point_of(snapshot).reach
    except BackupError:
        reach = (-1, -1)
    return reach, snapshot.name <= copies.snapshot_name("portal"), snapshot.name


def left_out(db: sqlite3.Connection, path: Path) -> bool:
    """Whether a restore left out the changes that a copy has and the log of the store `db` has not.

    Their logs part at the row of that restore then.
    """
    with closing(_open(path)) as copy:
        timeline = point(copy).timeline
        began = next((seq for seq, number in _timelines(db) if number > timeline), None)
        return began is not None and audit.contains(copy, audit.head_before(db, began))


def point(db: sqlite3.Connection) -> Point:
    """How far this database reaches."""
    last = db.execute("SELECT at FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    timeline = max((number for _, number in _timelines(db)), default=0)
    return Point(timeline, audit.head(db), last[0] if last else 0, audit.origin(db))


def begin(tx: sqlite3.Connection, action: str, name: str, timeline: int, **detail: object) -> None:
    """Begin a timeline in a database that was a copy called `name`; `action` is RESTORED or PROMOTED.

    Its sessions end, since they may have been ended after the copy was made.
    """
    sessions.end_all(tx)
    audit.append(tx, audit.OPERATOR, action, name, timeline=timeline, **detail)


def _timelines(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """The rows of the log that began a timeline, oldest first: row and timeline."""
    return [(seq, json.loads(detail).get("timeline", 0)) for seq, detail in db.execute(BEGINNINGS)]


def point_of(path: Path, *, live: bool = False) -> Point:
    """How far the database in a file reaches; only a `live` one may have a WAL. Raises BackupError."""
    try:
        with closing(_open(path, live=live)) as db:
            return point(db)
    except (sqlite3.Error, LookupError, ValueError) as error:
        raise BackupError(f"{path} cannot be read: {error}.") from error


def entries_after(path: Path, earlier: Point, actions: Collection[str], *, live: bool = False) -> list[audit.Entry]:
    """The rows with one of these actions that a database has after a point of its log, oldest first.

    Empty if its log does not contain the point, or cannot be read. Only a `live` one may have a WAL.
    """
    try:
        with closing(_open(path, live=live)) as db:
            if not audit.contains(db, earlier.head):
                return []
            return [entry for entry in audit.entries(db, earlier.head.seq) if entry.action in actions]
    except (sqlite3.Error, BackupError):
        return []


def origins_of(path: Path, *, live: bool = False) -> set[str]:
    """As `audit.origins`, of the database in a file; none if it cannot be read. Only a `live` one may have a WAL."""
    try:
        with closing(_open(path, live=live)) as db:
            return audit.origins(db)
    except (BackupError, sqlite3.Error, LookupError, ValueError):
        return set()


def _read(source: Source, place: Path) -> Copy:
    path = source.file or place / f"{source.kind}.db"
    for left in reversed(range(TRIES)):
        try:
            if not source.file:
                copies.discard(path)
                source.fetch(path)
            return Copy(source, path, point_of(path))
        except (BackupError, OSError) as error:
            if source.file or not left:
                raise BackupError(_named(error, path, source.name)) from error
    raise AssertionError


def _open(path: Path, *, live: bool = False) -> sqlite3.Connection:
    """Without a WAL nothing is locked, and nothing written beside the file: the drive may be read-only."""
    if not live:
        return foreign.opened(path)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    return connection
