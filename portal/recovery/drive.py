"""The external drive: the directory that the nightly rsync fills, once the drive is known to be attached."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from portal.recovery import generations
from portal.recovery.errors import BackupError
from portal.settings import Backup
from portal.store.known_files import NamedFile

OCTAL = re.compile(rb"\\([0-7]{3})")  # proc(5): blanks and backslashes of a mount point
MARKER = ".mosis-backup"
SNAPSHOTS = "backups/snapshots"  # copies of the database, below the directory


def configured(backup: Backup | None) -> Backup:
    """Raises BackupError unless there is to be a drive."""
    if backup is None:
        raise BackupError("No external drive is configured: set backup.mount and backup.directory.")
    return backup


def require(backup: Backup | None) -> Path:
    """The directory on the drive, which is mounted and marked. Raises BackupError; writes nothing."""
    backup = configured(backup)
    try:
        return _marked(backup)
    except OSError as error:
        raise BackupError(
            f"{backup.directory} cannot be read: {error.strerror}."
            " Mount the drive so that the user of the store may read and write there."
        ) from error


def _marked(backup: Backup) -> Path:
    if not backup.directory.is_relative_to(backup.mount):
        raise BackupError(f"{backup.directory} is not below {backup.mount}.")
    # Without the drive its mount point is an empty directory on the system disk, which a copy would fill.
    if str(backup.mount) not in (found := mounts()):
        raise BackupError(f"{backup.mount} is not mounted: {_elsewhere(backup, found)}.")
    if not (backup.directory / MARKER).is_file():
        raise BackupError(f"{backup.directory} has no {MARKER}: is it the right drive? If so, create that file.")
    return backup.directory


def _elsewhere(backup: Backup, found: Iterable[str]) -> str:
    """What to do about a drive that is away. A NAS may number the ports of its drives anew: volumeUSB1, volumeUSB2."""
    alike = re.compile(re.sub(r"\d+", r"\\d+", re.escape(str(backup.mount))))
    for mount in sorted(filter(alike.fullmatch, found)):
        if (Path(mount) / backup.directory.relative_to(backup.mount) / MARKER).is_file():
            return f"a marked drive is at {mount}, set backup.mount and backup.directory accordingly"
    return "attach the drive"


def trees(backup: Backup | None) -> list[Path]:
    """The copies of the store's files on the drive, the newest first; none while the drive is away.

    In each of them the files have the paths that they have below the store's root.
    """
    try:
        return generations.trees(require(backup))
    except (BackupError, OSError):
        return []


def find(roots: Iterable[Path], file: NamedFile) -> Path | None:
    """The first of the `roots` below which `file` has its digest. Copies that share an inode are read once."""
    return next((root for root in distinct(roots, file.path) if file.is_good(root)), None)


def distinct(roots: Iterable[Path], path: Path) -> Iterator[Path]:
    """The `roots` without those whose `path` is a hard link of one before."""
    seen: set[tuple[int, int]] = set()
    for root in roots:
        try:
            found = (root / path).stat()
        except OSError:
            yield root
            continue
        if (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            yield root


def mounts() -> set[str]:
    """Every mount point of this machine."""
    fields = [line.split()[1] for line in Path("/proc/mounts").read_bytes().splitlines()]
    return {os.fsdecode(OCTAL.sub(lambda code: bytes([int(code[1], 8)]), field)) for field in fields}
