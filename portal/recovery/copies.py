"""Copies of the database: Litestream's replica, and snapshots here and on the external drive."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from portal.recovery import drive, foreign
from portal.recovery.errors import BackupError
from portal.settings import Settings
from portal.store import files
from portal.store.clock import rfc3339
from portal.store.layout import Layout

REPLICA = "Litestream replica"
NO_SUCH_TIME = "timestamp does not exist"  # Litestream's words, also where nothing was written since


@dataclass(frozen=True)
class Source:
    """A copy of the database. `fetch` writes it to a new file; `file` is what it has as a database already."""

    kind: str
    name: str
    fetch: Callable[[Path], object]
    file: Path | None = None


def sources(settings: Settings) -> Iterator[Source]:
    """Copies of the database, the nearest first; those on the drive only while it is attached."""
    layout = Layout(settings.root)
    if has_replica(layout):
        yield replica(layout.replica)
    for path in snapshots(layout.snapshots):
        yield _snapshot("snapshot", path, "")
    for path in on_drive(settings):
        yield _snapshot("drive", path, " on the drive")


def replica(directory: Path, until: int | None = None, where: str = "") -> Source:
    """A Litestream replica as it is, or was `until` that time, in seconds since 1970."""
    return Source("replica", f"{REPLICA}{where}", lambda target: from_replica(directory, target, until))


def exist(settings: Settings) -> bool:
    """Whether there is any copy, here or on the drive: a missing database is then restored, never started empty."""
    return any(True for _ in sources(settings))


def has_replica(layout: Layout) -> bool:
    """Whether Litestream has ever written here."""
    return is_replica(layout.replica)


def is_replica(directory: Path) -> bool:
    return any(directory.rglob("*.ltx"))


def from_replica(replica: Path, target: Path, until: int | None = None) -> None:
    """Write a Litestream replica, as it is or was `until` that time, to the new file `target`. Raises BackupError."""
    litestream = Path(sys.executable).with_name("litestream")
    point = [] if until is None else ["-timestamp", rfc3339(until)]
    command = [str(litestream), "restore", *point, "-o", str(target), replica.absolute().as_uri()]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode != 0:
        if until is not None and NO_SUCH_TIME in finished.stderr:
            raise BackupError(f"it does not reach back to {rfc3339(until)}.")
        raise BackupError(f"litestream ended with {finished.returncode}: {finished.stderr.strip()}")


def snapshots(directory: Path) -> list[Path]:
    """The nightly copies, newest first."""
    return sorted((path for path in directory.glob("portal-*.db") if path.is_file()), reverse=True)


def on_drive(settings: Settings) -> list[Path]:
    """The nightly copies on the drive, newest first; each once, however many generations have it."""
    trees = drive.trees(settings.backup)
    names = {path.name for tree in trees for path in snapshots(tree / drive.SNAPSHOTS)}
    parts = [Path(drive.SNAPSHOTS, name) for name in sorted(names, reverse=True)]
    return [tree / part for part in parts for tree in drive.distinct(trees, part) if (tree / part).is_file()]


def _snapshot(kind: str, path: Path, where: str) -> Source:
    return Source(kind, f"snapshot {path.name}{where}", lambda target: shutil.copyfile(path, target), path)


def write(connection: sqlite3.Connection, directory: Path, name: str) -> Path:
    """Copy the database as of one moment, compact and checked, to a file that appears when it is whole.

    Returns the file, `name` and the time below `directory`. Raises BackupError.
    """
    files.make_directory(directory)
    target = directory / snapshot_name(name)
    beside = directory / f".{target.name}"
    beside.unlink(missing_ok=True)
    try:
        connection.execute("VACUUM INTO ?", (str(beside),))
        check(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)
    files.flush_directory(directory)
    return target


def snapshot_name(name: str) -> str:
    """What a snapshot made now is called. Only people read the time in it: the clock may be wrong."""
    return f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"


def check(path: Path, *, live: bool = False) -> None:
    """Raises BackupError unless SQLite finds the file whole; only a `live` one may have a WAL."""
    try:
        with closing(foreign.opened(path, live=live)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise BackupError(f"{path} cannot be read: {error}.") from error
    if found != "ok":
        raise BackupError(f"{path} is damaged: {found}.")


def discard(path: Path) -> None:
    """Delete a database and its sidecar files."""
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
