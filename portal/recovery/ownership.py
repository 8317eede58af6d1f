"""Which store a drive belongs to. Another one's generations must never be pruned or mended as this store's.

Its marker says so since the first backup; on a drive that an older release filled, the newest copy of the database in
its newest tree.
"""

import re
from contextlib import suppress
from pathlib import Path

from portal.recovery import copies, drive, generations, lineage
from portal.recovery.errors import BackupError
from portal.settings import Settings
from portal.store import audit
from portal.store.store import Store

ORIGIN = re.compile("[0-9a-f]{64}")
MARKER_READ = 4096  # characters of a marker, into which the operator may write anything


def require(store: Store, directory: Path) -> None:
    """Raises BackupError if the drive is another store's; `directory` is where backups go."""
    owner = _owner(store, directory)
    if owner is not None and owner not in audit.origins(store.db.read()):
        raise BackupError(
            f"{directory} has the backups of another store: attach the drive of this one, or set backup.directory to"
            " another directory of this drive. If that store is lost, or this one was rebuilt, run"
            " `mosis backup packages --adopt`."
        )


def trees(store: Store) -> list[Path]:
    """As `drive.trees`, but none of another store."""
    with suppress(BackupError, OSError):
        require(store, drive.require(store.settings.backup))
        return drive.trees(store.settings.backup)
    return []


def snapshots(store: Store) -> list[Path]:
    """As `copies.on_drive`, but none of another store's drive."""
    return copies.on_drive(store.settings) if trees(store) else []


def claim(store: Store, directory: Path) -> None:
    """Note in the marker that the drive is this store's."""
    own, marker = audit.origin(store.db.read()), directory / drive.MARKER
    if own is not None and noted(directory) != own:
        with suppress(PermissionError):  # of another owner: then the copies on it show that
            marker.write_text(f"{own}\n")  # not by a rename: the mode is as the operator made it


def noted(directory: Path) -> str:
    """What the marker says; empty before the first backup, whatever the operator wrote into it."""
    with (directory / drive.MARKER).open(errors="replace") as marker:
        text = marker.read(MARKER_READ).strip()
    return text if ORIGIN.fullmatch(text) else ""


def noted_origins(settings: Settings) -> set[str]:
    """What the marker of the attached drive says, if it says anything."""
    try:
        return {noted(drive.require(settings.backup))} - {""}
    except (BackupError, OSError):
        return set()


def _owner(store: Store, directory: Path) -> str | None:
    """The origin of the store whose drive it is, as far as anything there says so."""
    if owner := noted(directory):
        return owner
    for tree in generations.trees(directory):
        points = []
        for snapshot in copies.snapshots(tree / drive.SNAPSHOTS):
            with suppress(BackupError):
                points.append(lineage.point_of(snapshot))
        if points:
            return max(points, key=lambda point: point.reach).origin
    return None
