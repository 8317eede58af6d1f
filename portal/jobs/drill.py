"""Rehearse a restore: the newest copy of each kind of the database, a portal on it, every file of it on the drive.

A copy that looks well is not yet one that can be restored. Each is restored into a place of its own, must be whole and
usable by this release, and its audit log must be the store's own up to a short while ago. The store is only read. What
a loss would cost, in changes and in time, is measured meanwhile.
"""

import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from time import monotonic

from portal import thresholds
from portal.jobs import recovery_figures, table, trial_portal
from portal.jobs.alone import alone
from portal.jobs.recovery_figures import Figures
from portal.recovery import copies, drive, lineage, mending, ownership
from portal.recovery.errors import BackupError
from portal.recovery.lineage import Copy
from portal.settings import MIB, Settings
from portal.store import audit, files, job_runs, known_files
from portal.store.clock import now
from portal.store.known_files import NamedFile
from portal.store.store import Store

JOB = "drill"
NAMED_MAX = 50  # faults that a failure names
ROOM = 4  # times the size of the database: the replica, the copy for the portal, another one, and what SQLite needs
SPARE_BYTES = 64 * MIB  # that stay free


def lag_max(settings: Settings) -> dict[str, float]:
    """Maximum lag per kind of copy, in seconds."""
    snapshot, drive = (table.max_age(settings, name) for name in ("backup-database", "backup-packages"))
    # A snapshot reaches the drive by the second job.
    return {"replica": thresholds.REPLICA_LAG_SECONDS_MAX, "snapshot": snapshot, "drive": snapshot + drive}


@dataclass
class Report:
    """What is good: names of copies, the package that was downloaded, the number of files on the drive.

    `package` is None if no version is published, `files` without a drive.
    """

    copies: list[str] = field(default_factory=list)
    package: str | None = None
    files: int | None = None
    figures: Figures = field(default_factory=Figures)


class Faults:
    """What would not come back, and what to do about it, in constant memory."""

    def __init__(self) -> None:
        self._named: list[str] = []
        self._others = 0
        self._remedies: dict[str, None] = {}

    def add(self, sentence: str, remedy: str | None = None) -> None:
        if len(self._named) < NAMED_MAX:
            self._named.append(sentence)
        else:
            self._others += 1
        if remedy:
            self._remedies[remedy] = None

    def require_none(self) -> None:
        """Raises BackupError."""
        others = [f"{self._others} more are not named here."] if self._others else []
        if self._named:
            raise BackupError(" ".join([*self._named, *others, *self._remedies]))


def drill(store: Store, *, progress: Callable[[int, int], None] = lambda done, total: None) -> Report:
    """Raises BackupError, which names what would not come back. `progress` receives files done and in all."""
    if store.settings.follow:
        raise BackupError("This host follows a store, which rehearses its own restore.")
    with job_runs.recorded(store.db, JOB), alone(store, JOB), _place(store) as place:
        _require_room(store, place)
        report, faults = Report(), Faults()
        taken = _restore_copies(store, place, report, faults)
        serving = _serve(store, place, report, faults) if taken else 0.0
        reading = _read_drive(store, report, faults, progress)
        for kind, seconds in taken.items():
            report.figures.time[kind] = ceil(seconds + serving + (reading if kind == "drive" else 0))
        recovery_figures.write(store, report.figures)
        faults.require_none()
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


def _require_room(store: Store, place: Path) -> None:
    """A rehearsal must not fill the disk under the portal. Raises BackupError."""
    size = sum(path.stat().st_size for path in store.layout.area("data").glob("portal.db*") if path.is_file())
    if shutil.disk_usage(place).free < ROOM * size + SPARE_BYTES:
        raise BackupError("The disk has no room to restore the database beside the store: free space.")


def _restore_copies(store: Store, place: Path, report: Report, faults: Faults) -> dict[str, float]:
    """Restore the newest copy of each kind: seconds until its database is back. The newest of all is kept."""
    began, taken = monotonic(), dict[str, float]()
    found = lineage.find(copies.sources(store.settings), place)
    finding = monotonic() - began
    for fault in found.faults.values():
        faults.add(fault)
    for copy in lineage.newest_of_each_kind(_own(store, found.copies)):
        began = monotonic()
        try:
            _rehearse(store, copy, place / ("other.db" if taken else "restored.db"), report)
        except BackupError as error:
            faults.add(str(error))
        else:
            report.copies.append(copy.name)
            taken[copy.source.kind] = finding + monotonic() - began
    if not taken:
        faults.add("There is no copy of the database that can be restored.")
    return taken


def _own(store: Store, found: Iterable[Copy]) -> Iterator[Copy]:
    """The copies without those of a timeline that a restore of this store left."""
    db = store.db.read()
    timeline = lineage.point(db).timeline
    return (copy for copy in found if copy.point.timeline >= timeline or audit.contains(db, copy.point.head))


def _rehearse(store: Store, copy: Copy, target: Path, report: Report) -> None:
    lineage.take(copy, target)
    lineage.require_whole_log(copy)
    head, kind = copy.point.head, copy.source.kind
    if not audit.contains(store.db.read(), head):
        raise BackupError(f"{copy.name}: its row {head.seq} of the audit log is not this store's.")
    behind = audit.seconds_behind(store.db.read(), head, now())
    report.figures.point[kind] = behind
    if behind > lag_max(store.settings)[kind]:
        raise BackupError(f"{copy.name}: a change that was made {behind} s ago is not in it.")


def _serve(store: Store, place: Path, report: Report, faults: Faults) -> float:
    """Start a portal on the newest copy: seconds until it has served a package, from the drive if there is one."""
    began, trees = monotonic(), [*drive.trees(store.settings.backup), store.layout.root]
    try:
        report.package = trial_portal.download(place / "restored.db", place / "store", trees)
    except BackupError as error:
        faults.add(str(error))
    return monotonic() - began


def _read_drive(store: Store, report: Report, faults: Faults, progress: Callable[[int, int], None]) -> float:
    """Read what the drive should have: seconds."""
    began = monotonic()
    try:
        if store.settings.backup:
            ownership.require(store, drive.require(store.settings.backup))
            report.files = _compare(store, drive.trees(store.settings.backup), faults, progress)
    except BackupError as error:
        faults.add(f"The drive is away: {error}")
    return monotonic() - began


def _compare(store: Store, trees: list[Path], faults: Faults, progress: Callable[[int, int], None]) -> int:
    """How many files the drive has as the database names them; a fault for each that it should have and has not.

    The live database names them: what its copies name beyond it was deleted since.
    """
    good, total = 0, known_files.count(store.db.read())
    for done, file in enumerate(known_files.every(store.db.read(), store.layout), start=1):
        if drive.find(trees, file):
            good += 1
        elif damaged := _damaged(trees, file):
            wrong, _ = mending.fault(damaged, file, lambda size: None) or ("is damaged", 0)
            remedy = "`mosis scrub --repair` mends damaged files on the drive; replace a drive that cannot be read."
            faults.add(f"{damaged} {wrong}.", remedy)
        elif _since(file.below(store.layout.root)) > table.max_age(store.settings, "backup-packages"):
            faults.add(f"{trees[0] / file.path} is missing.", "`mosis backup packages` copies what is missing.")
        progress(done, max(total, done))
    return good


def _damaged(trees: list[Path], file: NamedFile) -> Path | None:
    """The newest copy on the drive that is meant to be this file."""
    return next((path for tree in trees if mending.is_copy(path := file.below(tree), file)), None)


def _since(path: Path) -> float:
    """Age in seconds; what is not there could have been copied long ago."""
    try:
        return now() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
