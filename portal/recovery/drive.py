"""The external drive: the directory that the nightly rsync fills, once the drive is known to be attached."""

import os
import re
from pathlib import Path

from portal.recovery.errors import BackupError
from portal.settings import Backup

OCTAL = re.compile(rb"\\([0-7]{3})")  # proc(5): blanks and backslashes of a mount point
MARKER = ".mosis-backup"
SNAPSHOTS = "backups/snapshots"  # copies of the database, below the directory


def require(backup: Backup | None) -> Path:
    """The directory on the drive, which is mounted and marked. Raises BackupError; writes nothing."""
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


def attached(backup: Backup | None) -> Path | None:
    """The directory on the drive; None when there is no drive or it is away."""
    try:
        return require(backup)
    except BackupError:
        return None


def mounts() -> set[str]:
    """Every mount point of this machine."""
    fields = [line.split()[1] for line in Path("/proc/mounts").read_bytes().splitlines()]
    return {os.fsdecode(OCTAL.sub(lambda code: bytes([int(code[1], 8)]), field)) for field in fields}
