"""Bring a store back: the database from its replica or a snapshot, then every file that the database names.

Nothing is overwritten: an old database is set aside, a damaged file too. A file counts when its SHA-256 is the one
in the database, so the drive may be newer or older than the database without harm.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from portal.jobs import backup
from portal.jobs.backup import BackupError
from portal.settings import Settings
from portal.store import files, known_files
from portal.store.known_files import NamedFile
from portal.store.layout import Layout
from portal.store.store import Store, open_store

SIDECARS = ("-wal", "-shm")


@dataclass
class Report:
    """What a restore did, or with `dry_run` would do. `missing` is in no backup."""

    database_from: str | None = None
    good: int = 0
    restored: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A copy of the database, the first of its `kind` the newest; `fetch` writes it to a new file or raises."""

    kind: str
    name: str
    fetch: Callable[[Path], object]

    def fetch_checked(self, target: Path) -> None:
        """Write it to a new file, which SQLite finds whole. Raises BackupError."""
        discard(target)
        try:
            self.fetch(target)
            backup.check_database(target)
        except (BackupError, OSError) as error:
            raise BackupError(f"{self.name}: {error}") from error


def restore(
    settings: Settings,
    *,
    replace_database: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Restore what is missing or damaged; the portal must be stopped. Raises BackupError, DatabaseUnusable.

    `replace_database` takes the last copy even though a database is there. `progress` is told files done and in all.
    """
    layout, report = Layout(settings.root), Report()
    if not settings.root.is_dir():
        raise BackupError(f"{settings.root} is missing: mount the volume, or deploy first.")
    files.make_directory(layout.area("data"))
    with stopped(layout):
        if replace_database or not layout.database.exists():
            report.database_from = _restore_database(settings, layout, dry_run)
            if dry_run:
                return report
        store = open_store(settings)
        try:
            _restore_files(store, report, dry_run, progress)
        finally:
            store.db.close()
    return report


@contextmanager
def stopped(layout: Layout) -> Iterator[None]:
    """Hold the lock that a running portal shares, so that none runs meanwhile. Raises BackupError."""
    with lock_file(layout).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError("The portal is running: stop portal and Litestream first.") from None
        yield


def lock_file(layout: Layout) -> Path:
    """The portal holds it shared while it runs."""
    return layout.area("data") / "serve.lock"


def has_replica(layout: Layout) -> bool:
    """Whether Litestream has ever written here."""
    return any(layout.replica.rglob("*.ltx"))


def has_backup(settings: Settings) -> bool:
    """Whether a missing database can be restored, from here or the drive: nobody starts an empty one over it then."""
    return any(True for _ in sources(settings))


def sources(settings: Settings) -> Iterator[Source]:
    """Copies of the database, the best first; those from the drive only when it is attached."""
    layout = Layout(settings.root)
    if has_replica(layout):
        yield Source("replica", "Litestream replica", lambda target: from_replica(layout.replica, target))
    for snapshot in backup.snapshots(layout.snapshots):
        yield _snapshot("snapshot", snapshot, "")
    attached = drive(settings)
    for snapshot in backup.snapshots(attached / "backups/snapshots") if attached else []:
        yield _snapshot("drive", snapshot, " on the drive")


def _snapshot(kind: str, path: Path, where: str) -> Source:
    return Source(kind, f"snapshot {path.name}{where}", lambda target: shutil.copyfile(path, target))


def drive(settings: Settings) -> Path | None:
    """The directory on the external drive, None when it is away."""
    try:
        return backup.require_drive(settings.backup)
    except BackupError:
        return None


def discard(path: Path) -> None:
    """Delete a database and what stands beside it."""
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()


def _restore_database(settings: Settings, layout: Layout, dry_run: bool) -> str:
    beside = layout.database.with_name(".restored.db")
    faults = []
    for source in sources(settings):
        if dry_run:
            return source.name
        try:
            source.fetch_checked(beside)
        except BackupError as error:
            faults.append(str(error))
            continue
        _set_aside(layout)
        for path in _sidecars(beside):
            path.unlink(missing_ok=True)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.rename(layout.database)
        files.flush_directory(layout.database.parent)
        return source.name
    raise BackupError("No copy of the database can be restored. " + (" ".join(faults) or "There is none."))


def from_replica(replica: Path, target: Path) -> None:
    """The newest state that a Litestream replica has, in the new file `target`. Raises BackupError."""
    litestream = Path(sys.executable).with_name("litestream")
    command = [str(litestream), "restore", "-o", str(target), replica.absolute().as_uri()]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode != 0:
        raise BackupError(f"litestream ended with {finished.returncode}: {finished.stderr.strip()}")


def _set_aside(layout: Layout) -> None:
    """Keep the old database, and what Litestream knew about it, out of the way."""
    old = [layout.database, *_sidecars(layout.database), layout.database.with_name(".portal.db-litestream")]
    present = [path for path in old if path.exists()]
    if present:
        aside = layout.area("data") / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        aside.mkdir()
        for path in present:
            path.rename(aside / path.name)


def _sidecars(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in SIDECARS]


def _restore_files(store: Store, report: Report, dry_run: bool, progress: Callable[[int, int], None]) -> None:
    for area in ("packages", "assets", "temp"):
        files.make_directory(store.layout.area(area))
    attached, wanted = drive(store.settings), list(known_files.every(store.db.read(), store.layout))
    for done, file in enumerate(wanted, start=1):
        if file.is_good(store.layout.root):
            report.good += 1
        elif attached is None or not file.is_good(attached):
            report.missing.append(str(file.path))
        else:
            if not dry_run:
                _restore_file(store, attached, file)
            report.restored.append(str(file.path))
        progress(done, len(wanted))


def _restore_file(store: Store, attached: Path, file: NamedFile) -> None:
    target = store.layout.root / file.path
    if file.manifest is None:
        files.write_file(target, (attached / file.path).read_bytes())
        return
    staging = store.layout.staging(f"restore-{os.urandom(8).hex()}")
    staging.mkdir()
    sink = files.Sink(staging / target.name, sys.maxsize)
    with (attached / file.path).open("rb") as source:
        while chunk := source.read(1 << 20):
            sink.write(chunk)
    if sink.finish().sha256 != file.sha256:
        raise BackupError(f"{attached / file.path} changed while it was read.")
    files.write_file(staging / "manifest.json", file.manifest.encode())
    if target.parent.exists():
        target.parent.rename(staging.with_name(f"damaged-{staging.name}"))
    files.place_directory(staging, target.parent)
