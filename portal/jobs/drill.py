"""Rehearse a restore: of each kind of copy of the database the newest, then on the drive every file that it names.

A copy that looks well is not yet one that can be restored. Each is restored into a place of its own, must be whole and
usable by this release, and its audit log must be the store's own up to a short while ago. The store is only read.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from portal import thresholds
from portal.jobs import table
from portal.jobs.alone import alone
from portal.recovery import copies, drive, lineage
from portal.recovery.errors import BackupError
from portal.recovery.lineage import Copy
from portal.settings import Settings
from portal.store import audit, files, job_runs, known_files
from portal.store.clock import now
from portal.store.store import Store

JOB = "drill"


def lag_max(settings: Settings) -> dict[str, float]:
    """Maximum lag per kind of copy, in seconds."""
    snapshot, drive = (table.max_age(settings, name) for name in ("backup-database", "backup-packages"))
    # A snapshot reaches the drive by the second job.
    return {"replica": thresholds.REPLICA_LAG_SECONDS_MAX, "snapshot": snapshot, "drive": snapshot + drive}


@dataclass
class Report:
    """What a drill found good: names of copies, and files on the drive (None without one)."""

    copies: list[str] = field(default_factory=list)
    files: int | None = None


def drill(store: Store, *, progress: Callable[[int, int], None] = lambda done, total: None) -> Report:
    """Raises BackupError, which names everything that would not come back. `progress` is told files done and in all."""
    if store.settings.follow:
        raise BackupError("This host follows a store, which rehearses its own restore.")
    with job_runs.recorded(store.db, JOB), alone(store, JOB), _place(store) as place:
        report = Report()
        found = lineage.find(copies.sources(store.settings), place)
        faults = list(found.faults.values())
        for copy in found.newest_of_each_kind():
            try:
                _rehearse(store, copy, place / "restored.db")
            except BackupError as error:
                faults.append(str(error))
            else:
                report.copies.append(copy.name)
        if trees := drive.trees(store.settings.backup):
            report.files, lost = _compare(store, trees, progress)
            faults += lost
        elif store.settings.backup:
            faults.append("The drive is away: what it has was not looked at.")
        if not report.copies:
            faults.append("There is no copy of the database that can be restored.")
        if faults:
            raise BackupError(" ".join(faults))
        return report


@contextmanager
def _place(store: Store) -> Iterator[Path]:
    """A directory that is gone afterwards; after a crash cleanup takes it."""
    place = store.layout.staging(f"drill-{secrets.token_hex(8)}")
    place.mkdir()
    try:
        yield place
    finally:
        files.discard(place)


def _rehearse(store: Store, copy: Copy, target: Path) -> None:
    lineage.take(copy, target)
    lineage.require_whole_log(copy)
    head = copy.point.head
    if not audit.contains(store.db.read(), head):
        raise BackupError(f"{copy.name}: its row {head.seq} of the audit log is not this store's.")
    behind = audit.seconds_behind(store.db.read(), head, now())
    if behind > lag_max(store.settings)[copy.source.kind]:
        raise BackupError(f"{copy.name}: a change that was made {behind} s ago is not in it.")


def _compare(store: Store, trees: list[Path], progress: Callable[[int, int], None]) -> tuple[int, list[str]]:
    """How many files the drive has as the database names them, and a sentence for each that it should have and has not.

    The live database names them: what its copies name beyond it was deleted since.
    """
    wanted, good, faults = list(known_files.every(store.db.read(), store.layout)), 0, []
    for done, file in enumerate(wanted, start=1):
        if drive.find(trees, file):
            good += 1
        elif file.below(trees[0]).exists():
            faults.append(f"{file.below(trees[0])} is damaged.")
        elif _since(file.below(store.layout.root)) > table.max_age(store.settings, "backup-packages"):
            faults.append(f"{trees[0] / file.path} is missing.")
        progress(done, len(wanted))
    return good, faults


def _since(path: Path) -> float:
    """Age in seconds; what is not there could have been copied long ago."""
    try:
        return now() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
