"""Two backups besides Litestream: the database by VACUUM INTO, and everything by rsync to an external drive."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from portal.jobs.alone import alone
from portal.recovery import btrfs, capabilities, copies, drive, generations, lineage, rsync
from portal.recovery.capabilities import Capabilities
from portal.recovery.errors import BackupError
from portal.recovery.generations import Generation
from portal.store import clock_trust, files, job_runs, known_files
from portal.store.store import Store

SNAPSHOTS_KEPT = 14
NAMED = 3  # files in a message


@dataclass(frozen=True)
class Report:
    """What a backup wrote: `generation`, on a drive that can do this."""

    generation: Path
    drive: Capabilities
    deleted: tuple[Path, ...]


def packages(store: Store) -> Report:
    """Copy packages, assets and snapshots into a new generation on the external drive. Raises BackupError.

    Nothing of an older generation is changed. Those that the settings no longer keep are deleted once the new one is on
    the disk and has every file that the database names.
    """
    with job_runs.recorded(store.db, "backup-packages"), alone(store, "backup-packages"):
        directory = drive.require(store.settings.backup)
        try:
            return _packages(store, directory)
        except OSError as error:
            raise BackupError(f"The drive failed: {error}.") from error


def _packages(store: Store, directory: Path) -> Report:
    able, at = capabilities.probe(directory), _date(store)
    generations.discard_expired(directory)
    copy = _tree if able.generations else _changes
    made, lacking = copy(store, directory, able, at)
    capabilities.flush(directory)
    if lacking:
        raise BackupError(_lacking(lacking))
    keep = drive.configured(store.settings.backup)
    gone = generations.expired(
        generations.listed(directory), daily=keep.keep_daily, weekly=keep.keep_weekly, whole=able.generations
    )
    for old in gone:
        generations.delete(old)
    return Report(made.path, able, tuple(old.path for old in gone))


def _date(store: Store) -> datetime | None:
    doubt = clock_trust.look(store.db.directory, store.db.read()).doubt
    return None if doubt else datetime.now(UTC)


def _tree(store: Store, directory: Path, able: Capabilities, at: datetime | None) -> tuple[Generation, set[Path]]:
    """A whole tree, whose files are hard links to those of the generation before where they are equal."""
    generations.adopt(directory, at)
    partial = directory / generations.DIRECTORY / generations.PARTIAL
    files.make_directory(partial)
    shared = [f"--link-dest={before.path}" for before in generations.listed(directory)[:1]]
    lacking = _copied(store, partial, [[*able.options, *shared]])
    capabilities.flush(directory)
    made = generations.following(directory, at)
    partial.rename(made.path)
    return made, lacking


def _changes(store: Store, directory: Path, able: Capabilities, at: datetime | None) -> tuple[Generation, set[Path]]:
    """The one tree is brought up to date; what that replaces or deletes is moved into the generation."""
    made = generations.following(directory, at)
    files.make_directory(made.path)
    options = [*able.options, "--delete-delay", "--backup", f"--backup-dir={made.path}"]
    return made, _copied(store, directory, [[*options, *one] for one in able.passes])


def _copied(store: Store, target: Path, runs: Sequence[Sequence[str]]) -> set[Path]:
    """Copy the store's files; the files that the database names and that were not there to copy.

    What is placed while rsync runs is copied by running it once more.
    """
    lacking = _copied_once(store, target, runs)
    return lacking and lacking & _copied_once(store, target, runs)


def _copied_once(store: Store, target: Path, runs: Sequence[Sequence[str]]) -> set[Path]:
    sources = [f"{store.layout.root}/./{part}" for part in generations.PARTS if store.layout.area(part).is_dir()]
    for options in runs:
        arguments = ["--recursive", "--relative", *rsync.EXCLUDES, *options, "--", *sources, str(target)]
        try:
            rsync.run("the store", arguments)
        except BackupError as error:
            raise BackupError(f"{error}. {capabilities.FULL}") if rsync.FULL in str(error) else error from None
    wanted = known_files.every(store.db.read(), store.layout)
    return {file.path for file in wanted if not _has(file.below(target), file.size)}


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _lacking(paths: set[Path]) -> str:
    named = ", ".join(map(str, sorted(paths)[:NAMED]))
    return (
        f"{len(paths)} files that the database names are missing or damaged in the store, so they were not copied:"
        f" {named}{', …' if len(paths) > NAMED else ''}. Nothing was deleted on the drive: `mosis scrub --repair`"
        " brings them back if an older generation has them."
    )


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
