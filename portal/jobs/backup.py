"""Two backups besides Litestream: the database by VACUUM INTO, and everything by rsync to an external drive."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from portal.jobs import drive_copy
from portal.jobs.alone import alone
from portal.jobs.drive_copy import Copying
from portal.recovery import btrfs, capabilities, copies, drive, generations, lineage, ownership
from portal.recovery.capabilities import Capabilities
from portal.recovery.errors import BackupError
from portal.settings import Backup
from portal.store import clock_trust, job_runs
from portal.store.store import Store

SNAPSHOTS_KEPT = 14


@dataclass(frozen=True)
class Report:
    """What a backup wrote: `generation`, on a drive that can do this; then it deleted those that are no longer kept."""

    generation: Path
    drive: Capabilities
    deleted: tuple[Path, ...]


@dataclass(frozen=True)
class Outlook:
    """What a backup would write and delete: the next generation, files and bytes that the newest has not."""

    generation: Path
    files: int
    bytes: int
    deleted: tuple[Path, ...]


def packages(
    store: Store, *, adopt: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Copy packages, assets and snapshots into a new generation on the external drive. Raises BackupError.

    Nothing of an older generation is changed. Those that the settings no longer keep are deleted once the new one is on
    the disk and has every file that the database names. `adopt` makes another store's drive this one's. `progress`
    receives files done and in all.
    """
    with job_runs.recorded(store.db, "backup-packages"), alone(store, "backup-packages"):
        directory, keep = drive.require(store.settings.backup), drive.configured(store.settings.backup)
        try:
            if not adopt:
                ownership.require(store, directory)
            return _packages(store, directory, keep, progress)
        except OSError as error:
            remedy = "Check the drive and its cable, and attach it anew."
            raise BackupError(f"The drive failed: {error.strerror or error}. {remedy}") from error


def _packages(store: Store, directory: Path, keep: Backup, progress: Callable[[int, int], None]) -> Report:
    able = capabilities.probe(directory)
    ownership.claim(store, directory)
    generations.discard_expired(directory)
    copying = Copying(store, directory, able, _date(store), progress)
    made = copying.run()
    capabilities.flush(directory)
    copying.require_all()
    gone = generations.expired(
        generations.listed(directory), daily=keep.keep_daily, weekly=keep.keep_weekly, whole=able.generations
    )
    for old in gone:
        generations.delete(old)
    return Report(made.path, able, tuple(old.path for old in gone))


def outlook(store: Store) -> Outlook:
    """What `packages` would do, found without writing anything. Raises BackupError."""
    directory, keep = drive.require(store.settings.backup), drive.configured(store.settings.backup)
    ownership.require(store, directory)
    made = generations.following(directory, _date(store))
    gone = generations.expired(
        [made, *generations.listed(directory)],
        daily=keep.keep_daily,
        weekly=keep.keep_weekly,
        whole=not generations.flat(directory),
    )
    sizes = drive_copy.lacking_sizes(store, generations.trees(directory)[0])
    return Outlook(made.path, len(sizes), sum(sizes), tuple(old.path for old in gone))


def _date(store: Store) -> datetime | None:
    doubt = clock_trust.look(store.db.directory, store.db.read()).doubt
    return None if doubt else datetime.now(UTC)


def database(store: Store) -> Path:
    """Write a compact, independent copy of the database, checked before it counts. Raises BackupError.

    A Btrfs snapshot of the root follows, where that is possible.
    """
    with job_runs.recorded(store.db, "backup-database"), alone(store, "backup-database"):
        target = copies.write(store.db.read(), store.layout.snapshots, "portal")
        for old in lineage.surplus(copies.snapshots(target.parent), SNAPSHOTS_KEPT, target):
            old.unlink()
        try:
            btrfs.snapshot(store.layout.root, _date(store), store.settings.btrfs_snapshots)
        except OSError as error:
            raise BackupError(f"{target} was written, but no Btrfs snapshot was made: {error}.") from error
        return target
