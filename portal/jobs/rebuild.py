"""Make the database again from the records beside the packages, when every copy of it is lost.

A restore loses less, so it comes first. A rebuilt database has developers, keys, apps, versions and tombstones as the
records have them. It has no tokens, no uploads under way or failed, no counts of downloads, no webhooks, no
publishers, no images that wait for a review, no runs of jobs, and a log that begins with the rebuild.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from portal.jobs import restore
from portal.jobs.alone import none_running
from portal.recovery import copies, foreign, lineage, offline, ownership, records
from portal.recovery.errors import BackupError
from portal.recovery.lineage import Found
from portal.recovery.records import Row, Rows
from portal.recovery.replacement import Replacement
from portal.recovery.set_aside import SetAside
from portal.settings import Settings
from portal.store import audit, deletion, files, schema, search
from portal.store.clock import now
from portal.store.database import connect
from portal.store.layout import Layout

NAME = "the records beside the packages"

# A row whose parent's record is lost cannot be used; the order is that of the references.
REFERENCES = (
    ("keys", "developer_id", "developers", "developer_id"),
    ("tombstones", "developer_id", "developers", "developer_id"),
    ("apps", "developer_id", "developers", "developer_id"),
    ("app_keys", "app_id", "apps", "app_id"),
    ("app_keys", "key_id", "keys", "key_id"),
    ("versions", "app_id", "apps", "app_id"),
    ("versions", "developer_id", "developers", "developer_id"),
    ("assets", "app_id", "apps", "app_id"),
)
CURRENT = "SELECT max(version_code) FROM versions WHERE versions.app_id = apps.app_id AND status = 'published'"


@dataclass
class Report:
    """`rows` are counted by table. `left_out` has a sentence for each record that could not be used.

    `unnamed` counts directories of packages that no record names; `set_aside` is where they went.
    """

    rows: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    unnamed: int = 0
    set_aside: Path | None = None


@dataclass(frozen=True)
class Continued:
    """What the new log continues: the number of its `timeline`, and the origins of the logs before."""

    timeline: int
    origins: list[str]


def rebuild(
    settings: Settings,
    *,
    replace_database: bool = False,
    ignore_copies: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Write a new database from the records; the portal must be stopped. Raises BackupError.

    `replace_database` sets the present one aside; `ignore_copies` rebuilds although a copy could be restored.
    """
    layout, report = Layout(settings.root), Report()
    if layout.database.exists() and not replace_database:
        raise BackupError(f"{layout.database} is present: add --replace-database to set it aside.")
    files.make_directory(layout.area("data"))
    with offline.held(settings), none_running(layout), restore.place(layout) as place:
        found = lineage.find(copies.sources(settings), place)
        if found.copies and not ignore_copies:
            raise BackupError(
                f"{found.copies[0].name} can be restored, which loses less: run `mosis restore`,"
                " or add --ignore-copies."
            )
        log = Continued(
            max((copy.point.timeline for copy in found.copies), default=0) + 1,
            sorted(_origins(settings, found)),
        )
        target = place / "rebuilt.db"
        _make(target, layout.area("packages"), report, log, progress)
        aside = None if dry_run else SetAside(layout)
        replacement = Replacement(target, NAME, 0, now(), (), broken_replica=True)
        report.unnamed = restore.replace(layout, replacement, aside)
        report.set_aside = aside.finish() if aside else None
    return report


def _origins(settings: Settings, found: Found) -> set[str]:
    """Of the database that is replaced and its copies beside it; only where none can be read, those of the drive."""
    own = lineage.origins_of(Layout(settings.root).database, live=True)
    beside = [copy for copy in found.copies if copy.source.kind in lineage.LOCAL]
    own = own.union(*(lineage.origins_of(copy.path) for copy in beside))
    return own or ownership.noted_origins(settings).union(*(lineage.origins_of(copy.path) for copy in found.copies))


def _make(
    path: Path, packages: Path, report: Report, log: Continued, progress: Callable[[int, int], None]
) -> None:  # fmt: skip
    schema.migrate(path, litestream=False)
    found, digest = _newest(records.every(packages)), sha256()
    if not found:
        raise BackupError(f"{packages} has no records: a release before this one wrote none.")
    with closing(connect(path, litestream=False)) as tx:
        tx.execute("PRAGMA foreign_keys = OFF")  # checked at the end, when all records are read
        tx.execute("PRAGMA synchronous = OFF")  # nobody sees the file before it is flushed
        tx.execute("BEGIN")
        for done, record in enumerate(found, start=1):
            with _noted(report, record, tx):
                data = record.read_bytes()
                _insert(tx, _checked(record, records.from_json(data)), report)
                digest.update(data)
            progress(done, len(found))
        _bury(tx, report)
        report.left_out += _orphans(tx, report)
        tx.execute(f"UPDATE apps SET published_code = ({CURRENT}) WHERE published_code IS NOT ({CURRENT})")
        search.refresh(tx)
        continued = {audit.CONTINUED: log.origins} if log.origins else {}
        detail = {"rows": dict(report.rows), "left_out": len(report.left_out), "sha256": digest.hexdigest()}
        lineage.begin(tx, lineage.RESTORED, NAME, log.timeline, **continued)
        audit.append(tx, audit.OPERATOR, "store.rebuild", NAME, **detail)
        tx.execute("COMMIT")
        tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copies.check(path)
    files.flush_file(path)


@contextmanager
def _noted(report: Report, record: Path, tx: sqlite3.Connection) -> Iterator[None]:
    """A record that cannot be used is left out, and keeps no other one out."""
    before = report.rows.copy()
    tx.execute("SAVEPOINT record")
    try:
        yield
    except (BackupError, OSError, sqlite3.Error) as error:
        tx.execute("ROLLBACK TO record")
        report.rows = before
        reason = error.strerror if isinstance(error, OSError) else error
        report.left_out.append(f"{record} is left out: {str(reason).removesuffix('.')}.")
    finally:
        tx.execute("RELEASE record")


def _checked(record: Path, rows: Rows) -> Rows:
    """Raises BackupError unless each row belongs where the record is."""
    path = dict(zip(("version_code", "app_id", "developer_id")[-_depth(record) :], _parents(record), strict=True))
    for table, each in rows.items():
        for row in each:
            wrong = [name for name, part in path.items() if name in row and str(row[name]) != part]
            if wrong or table not in _TABLES[record.name]:
                raise BackupError("it belongs to another directory")
            foreign.require_harmless_row(table, row)
    return rows


_TABLES = {name: set(queries) for name, queries in records.QUERIES.items()} | {records.VERSION: {"versions"}}
_DEPTHS = {records.DEVELOPER: 1, records.APP: 2, records.VERSION: 3}


def _depth(record: Path) -> int:
    return _DEPTHS[record.name]


def _parents(record: Path) -> list[str]:
    return [parent.name for parent in list(record.parents)[: _depth(record)]]


def _insert(tx: sqlite3.Connection, rows: Rows, report: Report) -> None:
    for table, each in rows.items():
        columns = {row["name"]: row["type"] for row in tx.execute(f"PRAGMA table_info({table})")}
        for row in each:
            if not columns.keys() >= row.keys():
                raise BackupError("a later release wrote it")
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            tx.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", _values(row, columns))
            report.rows[table] += 1


def _values(row: Row, columns: dict[str, str]) -> Sequence[object]:
    try:
        return [
            bytes.fromhex(str(value)) if columns[name] == "BLOB" and value is not None else value
            for name, value in row.items()
        ]
    except ValueError:
        raise BackupError("it is damaged") from None


def _newest(found: Iterable[Path]) -> list[Path]:
    """The records, of each app the newest alone: a transfer that was cut off left that of the owner before."""
    every = list(found)
    of_apps: dict[str, list[Path]] = {}
    for record in every:
        if record.name == records.APP:
            of_apps.setdefault(record.parent.name, []).append(record)
    older = {one for same in of_apps.values() if len(same) > 1 for one in sorted(same, key=_updated_at)[:-1]}
    return [record for record in every if record not in older]


def _updated_at(record: Path) -> int:
    try:
        return int(str(records.from_json(record.read_bytes())["apps"][0]["updated_at"]))
    except (BackupError, OSError, LookupError, ValueError):
        return 0


def _bury(tx: sqlite3.Connection, report: Report) -> None:
    """Delete what a tombstone says was deleted for good, of which a record was left."""
    for table in deletion.APP_TABLES:
        gone = "app_id IN (SELECT app_id FROM tombstones WHERE version_code = 0)"
        report.rows[table] -= tx.execute(f"DELETE FROM {table} WHERE {gone}").rowcount
    gone = "(app_id, version_code) IN (SELECT app_id, version_code FROM tombstones)"
    report.rows["versions"] -= tx.execute(f"DELETE FROM versions WHERE {gone}").rowcount


def _orphans(tx: sqlite3.Connection, report: Report) -> Iterator[str]:
    """Delete rows that refer to something that no record has; a sentence for each kind."""
    for table, column, parent, key in REFERENCES:
        lost = f"{column} NOT IN (SELECT {key} FROM {parent})"
        names = [str(row[0]) for row in tx.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {lost} ORDER BY 1")]
        number = tx.execute(f"DELETE FROM {table} WHERE {lost}").rowcount
        if number:
            report.rows[table] -= number
            yield f"{number} rows of {table} are left out: there is no record of {', '.join(names)} in {parent}."
