"""Two backups besides Litestream: the database by VACUUM INTO, and everything by rsync to an external drive."""

import os
import subprocess
from pathlib import Path

from portal.jobs.alone import alone
from portal.recovery import copies, drive, lineage
from portal.recovery.errors import BackupError
from portal.store import job_runs
from portal.store.layout import SYSTEM_NAMES
from portal.store.store import Store

COPIED = ("packages", "assets", drive.SNAPSHOTS)  # the drive alone brings a lost store back
SNAPSHOTS_KEPT = 14


def packages(store: Store) -> Path:
    """Copy packages, assets and snapshots to the external drive, deleting nothing there. Raises BackupError.

    rsync copies each file beside its target and renames it, so a pulled cable leaves no half package.
    """
    with job_runs.recorded(store.db, "backup-packages"), alone(store, "backup-packages"):
        target = drive.require(store.settings.backup)
        excludes = [f"--exclude={name}" for name in sorted(SYSTEM_NAMES)]
        sources = [f"{store.layout.root}/./{part}" for part in COPIED if store.layout.area(part).is_dir()]
        options = ["--recursive", "--relative", "--times", "--exclude=.*", *excludes]
        finished = subprocess.run(
            ["rsync", *options, "--", *sources, str(target)], check=False, capture_output=True, text=True
        )
        if finished.returncode != 0:
            raise BackupError(f"rsync ended with {finished.returncode}: {finished.stderr.strip()}")
        os.sync()  # the rsync of a NAS is too old for --fsync
        return target


def database(store: Store) -> Path:
    """Write a compact, independent copy of the database, checked before it counts. Raises BackupError."""
    with job_runs.recorded(store.db, "backup-database"), alone(store, "backup-database"):
        target = copies.write(store.db.read(), store.layout.snapshots, "portal")
        for old in lineage.surplus(copies.snapshots(target.parent), SNAPSHOTS_KEPT, target):
            old.unlink()
        return target
