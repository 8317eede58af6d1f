"""Bring a store back: the database from its replica or a snapshot, then every file that the database names.

Nothing is overwritten: an old database is set aside, a damaged file too. A file counts when its SHA-256 is the one
in the database, so the drive may be newer or older than the database without harm.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from portal.recovery import copies, drive
from portal.recovery.errors import BackupError
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
    with layout.serve_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError("The portal is running: stop portal and Litestream first.") from None
        yield


def _restore_database(settings: Settings, layout: Layout, dry_run: bool) -> str:
    beside = layout.database.with_name(".restored.db")
    faults = []
    for source in copies.sources(settings):
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
    trees, wanted = drive.trees(store.settings.backup), list(known_files.every(store.db.read(), store.layout))
    for done, file in enumerate(wanted, start=1):
        if file.is_good(store.layout.root):
            report.good += 1
        elif (tree := drive.find(trees, file)) is None:
            report.missing.append(str(file.path))
        else:
            if not dry_run:
                _restore_file(store, tree, file)
            report.restored.append(str(file.path))
        progress(done, len(wanted))


def _restore_file(store: Store, tree: Path, file: NamedFile) -> None:
    target = store.layout.root / file.path
    if file.manifest is None:
        files.write_file(target, (tree / file.path).read_bytes())
        return
    staging = store.layout.staging(f"restore-{os.urandom(8).hex()}")
    staging.mkdir()
    sink = files.Sink(staging / target.name, sys.maxsize)
    with (tree / file.path).open("rb") as source:
        while chunk := source.read(1 << 20):
            sink.write(chunk)
    if sink.finish().sha256 != file.sha256:
        raise BackupError(f"{tree / file.path} changed while it was read.")
    files.write_file(staging / "manifest.json", file.manifest.encode())
    if target.parent.exists():
        target.parent.rename(staging.with_name(f"damaged-{staging.name}"))
    files.place_directory(staging, target.parent)
