"""Read every file of the store, and its copy on the drive, compare each with the database, and mend what differs.

It runs beside the portal, at a bounded rate and in the idle class of the disk. A run that was interrupted is continued
by the next one. The drive is mended from the store, the store from the drive, else from the mirror's bucket.
"""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from portal.faults import afterwards
from portal.jobs.alone import alone
from portal.jobs.bucket_copies import BucketCopies
from portal.packages.manifest import PATH as MANIFEST
from portal.recovery import drive, mending, ownership
from portal.recovery.errors import BackupError
from portal.recovery.mending import Throttle
from portal.store import files, job_runs, known_files, leftovers
from portal.store.known_files import NamedFile, Position
from portal.store.store import Store

JOB = "scrub"
BUCKET = "the mirror's bucket"
NOTED_EVERY = 200  # files; what an interruption costs at most
NAMED_MAX = 5  # files that the failure of a run names; its output names all


@dataclass(frozen=True)
class Finding:
    """A file that differs from the database; `mended_from` is its good copy, None if it was not mended."""

    path: Path
    fault: str
    mended_from: str | None = None

    def __str__(self) -> str:
        mended = f", mended from {self.mended_from}" if self.mended_from else ""
        return f"{self.path} {self.fault}{mended}"


@dataclass
class Pass:
    """One reading of everything, which several runs may share.

    `after` is the position of the last file read; `remaining` counts what was not mended, `left` names the first of it.
    """

    after: Position | None = None
    checked: int = 0
    corrupt: int = 0
    repaired: int = 0
    remaining: int = 0
    left: list[str] = field(default_factory=list)


def scrub(
    store: Store,
    *,
    repair: bool = False,
    dry_run: bool = False,
    report: Callable[[Finding], object] = lambda finding: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pass:
    """Check every file; with `repair` mend it, with `dry_run` change nothing.

    `report` receives each fault as it is found, `progress` files done and in all.
    Raises BackupError if something remains damaged.
    """
    if store.settings.follow:
        raise BackupError(f"This host is a standby: run this on {store.settings.follow.store}.")
    if dry_run:
        return _Scrub(store, Pass(), report, progress, repair=False, quarantine=False).run()
    with job_runs.recorded(store.db, JOB), alone(store, JOB):
        _yield_the_disk()
        found = _Scrub(store, _continued(store), report, progress, repair=repair, quarantine=True).run()
        _state(store).unlink(missing_ok=True)
        if found.remaining:
            raise BackupError(_remaining(found, repair=repair))
        return found


class _Scrub:
    def __init__(
        self,
        store: Store,
        found: Pass,
        report: Callable[[Finding], object],
        progress: Callable[[int, int], None],
        *,
        repair: bool,
        quarantine: bool,
    ) -> None:
        self._store, self._pass, self._report, self._progress = store, found, report, progress
        self._repair, self._quarantine = repair, quarantine
        self._trees = ownership.trees(store)
        self._bucket = BucketCopies(store.settings)
        self._took: Throttle = mending.throttle(store.settings.scrub_mb_per_second * 1_000_000)
        self._counted = Pass(checked=found.checked, corrupt=found.corrupt, repaired=found.repaired)

    def run(self) -> Pass:
        """Check everything after the position of the pass. Its counts are noted every now and then."""
        db, found = self._store.db.read(), self._pass
        total = known_files.count(db)
        with afterwards(self._note):
            for file in known_files.every(db, self._store.layout, found.after):
                self._check(file)
                found.after, found.checked = file.position, found.checked + 1
                self._progress(found.checked, max(total, found.checked))
                if found.checked % NOTED_EVERY == 0:
                    self._note()
        return found

    def _check(self, file: NamedFile) -> None:
        good = self._check_store(file)
        self._check_drive(file, good=good)

    def _check_store(self, file: NamedFile) -> bool:
        store, path = self._store, file.below(self._store.layout.root)
        found = mending.fault(path, file, self._took)
        if found and known_files.current(store.db.read(), store.layout, file):
            wrong, inode = found
            source = None
            with self._noting(file.path, wrong):
                if self._quarantine and inode and not mending.quarantine(store, file, inode):
                    return False  # it was deleted or replaced meanwhile
                source = self._mend(file) if self._repair else None
                self._add(Finding(file.path, wrong, source))
            if source is None:
                return False
        elif found:
            return False
        wrong_manifest = mending.manifest_fault(path.parent, file)
        if wrong_manifest and known_files.current(store.db.read(), store.layout, file):
            manifest = file.path.with_name(MANIFEST)
            with self._noting(manifest, wrong_manifest):
                if self._repair:
                    mending.mend_manifest(store, file)
                self._add(Finding(manifest, wrong_manifest, "the database" if self._repair else None))
        if self._repair and file.manifest:
            with suppress(OSError):
                leftovers.remove_partial(path.parent)
        return True

    @contextmanager
    def _noting(self, path: Path, wrong: str) -> Iterator[None]:
        """A file that may not be replaced, or has no room, keeps no other one from being checked."""
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            self._add(Finding(path, f"{wrong}, and cannot be replaced: {_reason(error)}"))

    def _mend(self, file: NamedFile) -> str | None:
        """Mend a file of the store from its nearest good copy; returns where that was, None if there is none."""
        # What could not be read last week may be readable now.
        candidates = (self._store.layout.quarantine / file.path, *map(file.below, self._trees))
        if source := mending.mend(self._store, file, candidates):
            return str(source)
        with self._bucket.tree(file) as tree:
            return BUCKET if tree and mending.mend(self._store, file, [tree / file.path], source=BUCKET) else None

    def _check_drive(self, file: NamedFile, *, good: bool) -> None:
        """Check the copies on the drive; what it has not is the matter of the next backup."""
        for path in self._copies(file):
            if not mending.is_copy(path, file):
                continue
            if found := mending.fault(path, file, self._took):
                self._mend_on_drive(path, file.path, found[0], good=good)
            manifest = file.path.with_name(MANIFEST)
            if wrong := mending.manifest_fault(path.parent, file):
                here = mending.manifest_is_good(file.below(self._store.layout.root).parent, file)
                self._mend_on_drive(path.with_name(MANIFEST), manifest, wrong, good=good and here)

    def _mend_on_drive(self, damaged: Path, path: Path, wrong: str, *, good: bool) -> None:
        mends = self._repair and good
        with self._noting(damaged, wrong):
            if mends:
                mending.mend_copy(self._store.layout.root / path, damaged, [tree / path for tree in self._trees])
            self._add(Finding(damaged, wrong, "the store" if mends else None))

    def _copies(self, file: NamedFile) -> list[Path]:
        return [tree / file.path for tree in drive.distinct(self._trees, file.path)]

    def _add(self, finding: Finding) -> None:
        self._pass.corrupt += 1
        if finding.mended_from:
            self._pass.repaired += 1
        else:
            self._pass.remaining += 1
            self._pass.left = [*self._pass.left, str(finding)][:NAMED_MAX]
        self._report(finding)

    def _note(self) -> None:
        if not self._quarantine:
            return
        with self._store.db.write() as tx:
            for name in ("checked", "corrupt", "repaired"):
                more = getattr(self._pass, name) - getattr(self._counted, name)
                job_runs.count(tx, f"scrub_{name}", "", more)
                setattr(self._counted, name, getattr(self._pass, name))
        files.write_file(_state(self._store), json.dumps(asdict(self._pass)).encode())


def drive_fault(store: Store) -> str | None:
    """Why a scrub does not check the drive; None if it does, or there is none."""
    try:
        if store.settings.backup:
            ownership.require(store, drive.require(store.settings.backup))
    except BackupError as error:
        return str(error)
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{error.strerror}; give its directory and files to the user of the store (chown)"
    return getattr(error, "strerror", None) or str(error)


def _state(store: Store) -> Path:
    return store.layout.area("data") / "scrub.json"


def _continued(store: Store) -> Pass:
    """The pass that was interrupted, or a new one."""
    try:
        values = json.loads(_state(store).read_bytes())
        return Pass(**{**values, "after": Position(*values["after"]) if values["after"] else None})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return Pass()


def _yield_the_disk() -> None:
    """Read only while nobody else does, where the disk's scheduler knows such a class."""
    with suppress(OSError):
        subprocess.run(["ionice", "-c", "3", "-p", str(os.getpid())], check=False, capture_output=True)


def _remaining(found: Pass, *, repair: bool) -> str:
    named = "; ".join(found.left) + (" …" if found.remaining > NAMED_MAX else "")
    mends = "`mosis scrub --repair` mends those that have a good copy."
    remedy = "Those without another reason have no good copy." if repair else mends
    return f"{found.remaining} files are not as the database has them: {named}. {remedy}"
