"""Two backups besides Litestream: the database by VACUUM INTO, and everything by rsync to an external drive."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from portal.settings import Backup
from portal.store import files, job_runs, schema
from portal.store.database import connect
from portal.store.layout import SYSTEM_NAMES, Layout
from portal.store.store import Store

MARKER = ".mosis-backup"
COPIED = ("packages", "assets", "backups/snapshots")  # the drive alone brings a lost store back
SNAPSHOTS_KEPT = 14


class BackupError(RuntimeError):
    """The backup was not made; the message says what to do."""


def packages(store: Store) -> Path:
    """Copy packages, assets and snapshots to the external drive, deleting nothing there. Raises BackupError.

    rsync copies each file beside its target and renames it, so a pulled cable leaves no half package.
    """
    with job_runs.recorded(store.db, "backup-packages"), alone(store, "backup-packages"):
        target = require_drive(store.settings.backup)
        excludes = [f"--exclude={name}" for name in sorted(SYSTEM_NAMES)]
        sources = [f"{store.layout.root}/./{part}" for part in COPIED if store.layout.area(part).is_dir()]
        options = ["--recursive", "--relative", "--times", "--exclude=.*", *excludes]
        finished = subprocess.run(["rsync", *options, "--", *sources, str(target)], capture_output=True, text=True)
        if finished.returncode != 0:
            raise BackupError(f"rsync ended with {finished.returncode}: {finished.stderr.strip()}")
        os.sync()  # the rsync of a NAS is too old for --fsync
        return target


def require_drive(backup: Backup | None) -> Path:
    """The directory on the drive, if the drive is there: mounted and marked. Raises BackupError and writes nothing."""
    if backup is None:
        raise BackupError("No external drive is configured: set backup.mount and backup.directory.")
    # Without the drive its mount point is an empty directory on the system disk, which a copy would fill.
    if str(backup.mount) not in mounts():
        raise BackupError(f"{backup.mount} is not mounted: attach the drive.")
    if not backup.directory.is_relative_to(backup.mount):
        raise BackupError(f"{backup.directory} is not below {backup.mount}.")
    if not (backup.directory / MARKER).is_file():
        raise BackupError(f"{backup.directory} has no {MARKER}: is it the right drive? If so, create that file.")
    return backup.directory


def mounts() -> set[str]:
    """Every mount point of this machine."""
    with Path("/proc/mounts").open() as table:
        fields = [line.split()[1] for line in table]
    return {field.encode().decode("unicode_escape") for field in fields}  # proc(5): octal for blanks


def database(store: Store) -> Path:
    """A compact, independent copy of the database, checked before it counts. Raises BackupError."""
    with job_runs.recorded(store.db, "backup-database"), alone(store, "backup-database"):
        target = _copy(store.db.read(), store.layout.snapshots, "portal")
        for old in snapshots(target.parent)[SNAPSHOTS_KEPT:]:
            old.unlink()
        return target


def before_migration(layout: Layout, number: int) -> Path:
    """A copy of the database as it is before its schema is `number`, which no job deletes. Raises BackupError.

    The migration is tried on a second copy: what fails there never touches the database.
    """
    with closing(connect(layout.database, litestream=True)) as connection:
        target = _copy(connection, layout.snapshots, f"before-schema-{number}")
    trial = target.with_name(f".trial-{target.name}")
    try:
        shutil.copyfile(target, trial)
        schema.migrate(trial, litestream=False)
        check_database(trial)
    except sqlite3.DatabaseError as error:
        target.unlink()
        raise BackupError(f"The migration to schema {number} fails on a copy of the database: {error}.") from error
    finally:
        for path in target.parent.glob(f"{trial.name}*"):
            path.unlink()
    return target


def _copy(connection: sqlite3.Connection, directory: Path, name: str) -> Path:
    """The database at one moment, compact and checked, in a file that appears when it is whole."""
    files.make_directory(directory)
    target = directory / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
    beside = directory / f".{target.name}"
    beside.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(beside),))
        check_database(beside)
        _flush(beside)
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)
    files.flush_directory(directory)
    return target


def snapshots(directory: Path) -> list[Path]:
    """The nightly copies, newest first."""
    return sorted(directory.glob("portal-*.db"), reverse=True)


def check_database(path: Path) -> None:
    """Raises BackupError unless SQLite finds the file whole."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{path} cannot be read: {error}.") from error
    if found != "ok":
        raise BackupError(f"{path} is damaged: {found}.")


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def alone(store: Store, job: str) -> Iterator[None]:
    """Raises BackupError while the job runs elsewhere."""
    with (store.layout.area("data") / f"{job}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"{job} is running already.") from None
        yield
