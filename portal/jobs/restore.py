"""Bring a store back: the newest copy of the database that can be used, then every file that the database names.

Nothing is overwritten or deleted: what has to give way is set aside. A file counts when its SHA-256 is the one in the
database, so the drive may be newer or older than the database without harm. A restore that was killed leaves either the
old database, or none, with which no portal starts; the next restore completes it.
"""

import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from portal.catalogue import withdrawals
from portal.jobs.alone import none_running
from portal.jobs.bucket_copies import BucketCopies
from portal.packages.manifest import PATH as MANIFEST
from portal.recovery import drive, generations, mending, offline, records, replacement, set_aside
from portal.recovery.errors import BackupError
from portal.recovery.replacement import Replacement
from portal.recovery.set_aside import SetAside
from portal.settings import Settings
from portal.store import audit, failure_marks, files, known_files, schema, tokens, versions
from portal.store.clock import rfc3339
from portal.store.database import Database
from portal.store.known_files import NamedFile
from portal.store.layout import Layout
from portal.store.store import Store

PLACE = "restoring-"
ACCESS_NAMED = 20  # tokens; nobody reads more of them


@dataclass
class Report:
    """What a restore did, or with `dry_run` would do.

    `drive_fault` and `bucket_fault` are why the external drive and the mirror's bucket were not used, if they were not;
    the bucket is asked for what is nowhere else. `access` has a sentence for each valid token and passkey that may
    publish or administer. `unnamed` counts directories of packages that the restored database does not name;
    `yanks_lost` are versions, as app and code, that it offers although the catalogue on the disk has
    them as withdrawn; `missing` is in no backup. `set_aside` is where everything is that had to give way.
    """

    drive_fault: str | None = None
    bucket_fault: str | None = None
    database: Replacement | None = None
    access: list[str] = field(default_factory=list)
    unnamed: int = 0
    yanks_lost: list[str] = field(default_factory=list)
    good: int = 0
    restored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    set_aside: Path | None = None


def restore(
    settings: Settings,
    *,
    replace_database: bool = False,
    until: int | None = None,
    adopt: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Restore what is missing or damaged; no portal and no job may run. Raises BackupError, DatabaseUnusable.

    `replace_database` takes the newest copy even though a database is there, `until` the newest that has no change made
    later, in seconds since 1970; `adopt` a copy on the drive of a store that is not this host's. `progress` receives
    files done and in all.
    """
    layout, report = Layout(settings.root), Report(_drive_fault(settings))
    if settings.follow:
        raise BackupError(f"This host is a standby of {settings.follow.store}: `mosis follow` copies it from there.")
    if not settings.root.is_dir():
        raise BackupError(f"{settings.root} is missing: mount the volume, or deploy first.")
    files.make_directory(layout.area("data"))
    with offline.held(settings), none_running(layout), place(layout) as beside:
        aside = None if dry_run else SetAside(layout)
        if replace_database or not layout.database.exists():
            report.database = replacement.prepare(settings, beside, until, adopt=adopt)
            report.unnamed = replace(layout, report.database, aside)
        elif until is not None:
            raise BackupError(f"{layout.database} is present: add --replace-database to set it aside.")
        with _opened(settings, report.database if dry_run else None) as store:
            report.access = list(_access(store.db.read())) if report.database else []
            report.yanks_lost = withdrawals.forgotten(store.db.read(), layout.catalogue)
            _restore_files(store, report, aside, progress)
            if aside and report.restored:
                _record(store, report)
        if aside:
            records.forget(layout)
            report.set_aside = aside.finish()
    return report


def _access(db: sqlite3.Connection) -> Iterator[str]:
    """An attacker who could write to the copy could also add such a token, which nothing else would reveal."""
    found = [token for token in tokens.every(db) if token.is_valid and token.scope != "developer"]
    for token in found[:ACCESS_NAMED]:
        kind = "token" if token.passkey is None else "passkey"
        times = f"created {rfc3339(token.created_at)}, expires {rfc3339(token.expires_at)}"
        yield f"Valid in it: {kind} {token.token_id} of scope {token.scope} of {token.developer_id}, {times}"
    if more := found[ACCESS_NAMED:]:
        yield f"Valid in it: {len(more)} more such tokens, which `mosis token list` shows"


def _record(store: Store, report: Report) -> None:
    """Add to the log what came back; all other writers are kept away, so there is no turn to wait for."""
    tx = store.db.read()
    tx.execute("BEGIN IMMEDIATE")
    counts = {"restored": len(report.restored), "missing": len(report.missing)}
    audit.append(tx, audit.OPERATOR, "file.restore", "store", **counts)
    tx.execute("COMMIT")


def _drive_fault(settings: Settings) -> str | None:
    try:
        if settings.backup:
            drive.require(settings.backup)
    except BackupError as error:
        return str(error)
    return None


@contextmanager
def place(layout: Layout) -> Iterator[Path]:
    """A directory beside the database for copies of it; what a killed restore left goes first."""
    for leftover in layout.area("data").glob(f"{PLACE}*/"):
        files.discard(leftover)
    beside = layout.area("data") / f"{PLACE}{secrets.token_hex(4)}"
    beside.mkdir()
    try:
        yield beside
    finally:
        files.discard(beside)


@contextmanager
def _opened(settings: Settings, replacement: Replacement | None) -> Iterator[Store]:
    """The store with its database, or with one that would take its place."""
    layout = Layout(settings.root)
    database = replacement.path if replacement else layout.database
    schema.require(database)
    with closing(Database(database, litestream=settings.litestream)) as db:
        yield Store(settings, db, layout)


def replace(layout: Layout, replacement: Replacement, aside: SetAside | None) -> int:
    """Exchange the database; how many directories of packages the new one does not name.

    While there is no database no portal starts: what it does not name leaves only then.
    """
    with closing(sqlite3.connect(replacement.path)) as db:
        unnamed = [directory for directory in _directories(layout) if not _is_named(db, directory)]
        images = _unnamed_images(layout, db)
    if aside:
        for path in _database_files(layout):
            aside.take(path)
        if replacement.broken_replica and any(layout.replica.glob("*")):
            aside.take(layout.replica)
        for path in [*unnamed, *images]:
            aside.take(path)
        failure_marks.forget(layout.area("data"))
        replacement.path.rename(layout.database)
        files.flush_directory(layout.database.parent)
    return len(unnamed)


def _database_files(layout: Layout) -> list[Path]:
    """The database first: a WAL without it can do no harm."""
    shm = layout.database.with_name(layout.database.name + "-shm")
    return [layout.database, layout.wal, shm, layout.litestream_state]


def _directories(layout: Layout) -> Iterator[Path]:
    """Where packages of versions are; nobody else's directories."""
    return (path for path in layout.area("packages").glob("*/*/*/") if path.name.isdecimal())


def _is_named(db: sqlite3.Connection, directory: Path) -> bool:
    developer_id, app_id, version_code = directory.parts[-3:]
    query = f"SELECT 1 FROM versions WHERE developer_id = ? AND app_id = ? AND version_code = ? AND {versions.PLACED}"
    return db.execute(query, (developer_id, app_id, int(version_code))).fetchone() is not None


def _unnamed_images(layout: Layout, db: sqlite3.Connection) -> list[Path]:
    """Images that the database does not name: the next portal would remove them as what a crash left."""
    named = set[Path]()
    for app_id, name, sha256 in db.execute("SELECT app_id, name, sha256 FROM assets"):
        named |= {layout.asset(app_id, name), layout.image(app_id, name, sha256)}
    for app_id, name, sha256 in db.execute("SELECT app_id, name, sha256 FROM proposed_assets"):
        named.add(layout.proposed(app_id, name, sha256))
    return [path for path in layout.area("assets").rglob("*.png") if path not in named]


def _restore_files(store: Store, report: Report, aside: SetAside | None, progress: Callable[[int, int], None]) -> None:
    if aside:
        for area in ("packages", "assets", "temp"):
            files.make_directory(store.layout.area(area))
    snapshots = [one.path for one in generations.listed(store.layout.root)]
    trees = [*set_aside.directories(store.layout), *snapshots, *drive.trees(store.settings.backup)]
    bucket = BucketCopies(store.settings)
    total = known_files.count(store.db.read())
    for done, file in enumerate(known_files.every(store.db.read(), store.layout), start=1):
        if file.is_good(store.layout.root):
            report.good += 1
            _restore_manifest(store, file, report, aside)
        else:
            found = _restore_from(trees, bucket, store, file, aside)
            (report.restored if found else report.missing).append(str(file.path))
        progress(done, total)
    report.bucket_fault = bucket.fault


def _restore_from(
    trees: list[Path], bucket: BucketCopies, store: Store, file: NamedFile, aside: SetAside | None
) -> bool:
    """Restore one file from the first place that has a good copy; with no `aside` only look. False: none has."""
    if tree := drive.find(trees, file):
        if aside:
            _restore_file(store, tree, file, aside)
        return True
    if aside is None:
        return bucket.has(file)
    with bucket.tree(file) as fetched:
        if fetched:
            _restore_file(store, fetched, file, aside)
        return fetched is not None


def _restore_manifest(store: Store, file: NamedFile, report: Report, aside: SetAside | None) -> None:
    """Write the manifest beside a good package anew if it is not as the database has it."""
    package = store.layout.root / file.path
    if file.manifest is None or mending.manifest_is_good(package.parent, file):
        return
    path = package.with_name(MANIFEST)
    if aside:
        aside.take(path)
        files.write_file(path, file.manifest.encode())
    report.restored.append(str(file.path.with_name(MANIFEST)))


def _restore_file(store: Store, tree: Path, file: NamedFile, aside: SetAside) -> None:
    target = store.layout.root / file.path
    if file.manifest is None:
        data = file.below(tree).read_bytes()
        aside.take(target)
        files.write_file(target, data)
        return
    staging = store.layout.staging(f"restore-{secrets.token_hex(8)}")
    staging.mkdir()
    sink = files.Sink(staging / target.name, sys.maxsize)
    with file.below(tree).open("rb") as source:
        while chunk := source.read(1 << 20):
            sink.write(chunk)
    if sink.finish().sha256 != file.sha256:
        raise BackupError(f"{file.below(tree)} changed while it was read.")
    files.write_file(staging / MANIFEST, file.manifest.encode())
    aside.take(target.parent)
    files.place_directory(staging, target.parent)
