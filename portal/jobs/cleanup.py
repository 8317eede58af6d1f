"""The hourly cleanup: what crashes left, then versions whose retention has ended.

Leftovers are swept first, because that needs no room in the database: on a full disk it makes the room for the rest.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from time import monotonic

from portal.faults import Fault, afterwards, sentence
from portal.jobs.alone import alone
from portal.jobs.opening import opened_on_full_disk
from portal.recovery import drive, records
from portal.settings import Settings
from portal.store import (
    audit,
    checkpoint,
    clock_trust,
    downloads,
    files,
    job_runs,
    known_files,
    leftovers,
    placement,
    proposals,
    retention,
    search,
    tokens,
    versions,
)
from portal.store.clock import now
from portal.store.leftovers import Leftover
from portal.store.retention import Expired, Rule
from portal.store.store import Store

JOB = "cleanup"
BATCH = 256  # versions for which the disk is flushed once
APPS_MAX = 500  # whose first records are written in seconds; those of more apps are left to the portal
DUE_MAX, DUE_PART_MAX = 100, 0.3  # versions with packages; a run that would delete more than both is refused
REMEDY = "attach the drive, then run `mosis backup packages`."
TURN_SECONDS = 0.01  # after which a turn to write ends, because others wait for theirs


class CleanupError(Fault):
    """Something was not deleted; the message names cause and remedy."""


@dataclass(frozen=True)
class Deletion:
    """One thing whose time is over: a version by the rule `label`, an app's rejected images, or a leftover."""

    label: str
    subject: str


Report = Callable[[Deletion], object]


def run(settings: Settings, report: Report, *, force: bool = False) -> None:
    """Clean up a store that is not open yet, which takes room on its disk. Raises as `cleanup` and `open_store` do."""
    with opened_on_full_disk(JOB, settings) as store:
        cleanup(store, force=force, report=report)


def cleanup(
    store: Store, *, dry_run: bool = False, force: bool = False, report: Report = lambda deletion: None
) -> None:
    """Delete what is due and report each deletion; with `dry_run` only report it.

    Refuses, without `force`, if the clock cannot be trusted or more versions are due than ever should be.
    Raises CleanupError, and BackupError while another cleanup runs.
    """
    if store.settings.follow:
        raise CleanupError(f"This host is a standby of {store.settings.follow.store}, which cleans up its own store.")
    if dry_run:
        _require_trust(clock_trust.look(store.db.directory, store.db.read(), confirmed=force))
        _Run(store, now(), report).show(force=force)
        return
    with alone(store, JOB):
        checkpoint.bound(store.layout)
        # Records need no right clock, but room on the disk, which may be there only after the rest.
        with afterwards(lambda: _write_records(store)):
            _clean(store, force=force, report=report)


def _write_records(store: Store) -> None:
    try:
        records.catch_up(store, apps_max=APPS_MAX)
    except OSError as error:
        job_runs.fail(store.db, JOB, error)
        raise


def _clean(store: Store, *, force: bool, report: Report) -> None:
    verdict = clock_trust.look(store.db.directory, store.db.read(), confirmed=force)
    if verdict.leap:
        with store.db.write() as tx:
            retention.postpone(tx, verdict.leap)
        records.forget(store.layout)
    clock_trust.remember(store.db.directory, verdict.witness)
    if not verdict.lasting:  # the next runs may trust the clock: no failure that somebody should see to
        _require_trust(verdict)
    with job_runs.recorded(store.db, JOB):
        _require_trust(verdict)
        _Run(store, now(), report).clean(force=force)


def _require_trust(verdict: clock_trust.Verdict) -> None:
    if verdict.doubt:
        raise CleanupError(f"Nothing was deleted. {verdict.doubt} If the clock is right, run `mosis cleanup --force`.")


@dataclass(frozen=True)
class _Run:
    """A run at the time `at`. `faults` are sentences about files that could not be deleted: each keeps no other one."""

    store: Store
    at: int
    report: Report
    faults: list[str] = field(default_factory=list)

    def show(self, *, force: bool) -> None:
        """Report what a run would delete, in its order."""
        for leftover in leftovers.found(self.store, self.at):
            self._report_leftover(leftover)
        self._require_few(force=force)
        for rule in retention.RULES:
            for version in self._due(rule):
                self.report(Deletion(rule.label, str(version)))
        for app_id in proposals.expired(self.store.db.read(), self.at):
            self.report(Deletion(proposals.EXPIRED, app_id))
        self._raise_faults()

    def clean(self, *, force: bool) -> None:
        """Delete everything that is due. Raises CleanupError at the end if something was not deleted."""
        self.sweep()
        search.catch_up(self.store.db)  # whatever the clock says
        self._require_few(force=force)
        for rule in retention.RULES:
            self.expire(rule)
        for app_id in proposals.expired(self.store.db.read(), self.at):
            if proposals.expire(self.store, self.at, app_id):
                self.report(Deletion(proposals.EXPIRED, app_id))
        if downloads.is_any_old(self.store.db.read(), self.at):
            with self.store.db.write(durable=False) as tx:
                downloads.fold(tx, self.at)
        if tokens.is_any_to_forget(self.store.db.read(), self.at):
            with self.store.db.write(durable=False) as tx:
                tokens.forget_ended(tx, self.at)
        self._raise_faults()

    def _raise_faults(self) -> None:
        if self.faults:
            more = f" (and {len(self.faults) - 1} more)" if self.faults[1:] else ""
            raise CleanupError(f"{self.faults[0]}{more}")

    def _due(self, rule: Rule) -> Iterator[Expired]:
        """The versions that `rule` no longer keeps, without those that must first be backed up."""
        for version in retention.due(self.store.db.read(), rule, self.at):
            if self._is_backed_up(version):
                yield version
            else:
                self.faults.append(f"{version} is due and stays, because the drive has no good copy of it: {REMEDY}")

    @cached_property
    def _trees(self) -> list[Path]:
        return drive.trees(self.store.settings.backup)

    def _is_backed_up(self, version: Expired) -> bool:
        backup, db = self.store.settings.backup, self.store.db.read()
        if version.version_code is None or not (backup and backup.before_cleanup):
            return True
        package = known_files.package(db, self.store.layout, version.app_id, version.version_code)
        return package is None or drive.find(self._trees, package) is not None

    def _require_few(self, *, force: bool) -> None:
        """The last defence against a clock that is wrong and trusted, or a mistake that no one has thought of."""
        due, placed = retention.count_placed_due(self.store.db.read(), self.at)
        if due > max(DUE_MAX, DUE_PART_MAX * placed) and not force:
            raise CleanupError(
                f"{due} of {placed} versions are due, more than {DUE_PART_MAX:.0%} at once, and none was deleted: check"
                " the clock and `mosis cleanup --dry-run --force`, then run `mosis cleanup --force`."
            )

    def sweep(self) -> None:
        """Delete leftovers."""
        found = leftovers.found(self.store, self.at)
        leftovers.sweep(self.store, found, self._report_leftover, self.faults.append)
        with self._noting():
            leftovers.name_images(self.store)

    def _report_leftover(self, leftover: Leftover) -> None:
        self.report(Deletion(leftover.label, str(leftover.path.relative_to(self.store.layout.root))))

    def expire(self, rule: Rule) -> None:
        """Delete the versions that `rule` no longer keeps."""
        due = self._due(rule)
        while batch := deque(islice(due, BATCH)):
            self._expire_batch(rule, batch)

    def _expire_batch(self, rule: Rule, batch: deque[Expired]) -> None:
        """Delete the rows of versions, then their files: a row without its files could still be published.

        Other writers wait for neither of the flushes, only for rows and names.
        """
        with ExitStack() as claims:
            for app_id in sorted({version.app_id for version in batch}):
                claims.enter_context(placement.claimed(self.store.layout, app_id))
            deleted = self._delete(rule, batch)
            self.store.db.flush()
            aside = self._set_aside(deque(deleted))
        for version in deleted:
            self.report(Deletion(rule.label, str(version)))
        for path in aside:
            with self._noting():
                files.discard(path)

    def _delete(self, rule: Rule, batch: deque[Expired]) -> list[Expired]:
        """Delete the rows of those that are still due, and return these."""
        deleted: list[Expired] = []
        while batch:
            before = len(deleted)
            with self.store.db.write(durable=False) as tx:
                for version in _in_a_turn(batch):
                    if retention.delete(tx, rule, self.at, version.version_id):
                        audit.append(tx, audit.OPERATOR, "version.expire", str(version), rule=rule.label)
                        deleted.append(version)
                job_runs.count(tx, "cleanup_deleted", rule.label, len(deleted) - before)
        return deleted

    def _set_aside(self, deleted: deque[Expired]) -> list[Path]:
        """Move the files of deleted versions under `temp/`, where they are discarded without a turn."""
        aside = []
        while deleted:
            with self.store.db.write(durable=False) as tx:
                for version in _in_a_turn(deleted):
                    code = version.version_code
                    if code is not None and versions.is_placed(tx, version.app_id, code):
                        continue  # placed anew by a portal of an older release, which makes no claims
                    with self._noting():
                        aside.append(placement.set_aside(self.store.layout, _directory(self.store, version)))
        return [path for path in aside if path]

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.faults.append(sentence(error))


def _in_a_turn(waiting: deque[Expired]) -> Iterator[Expired]:
    """Take from what is waiting, at least one, until TURN_SECONDS are over."""
    end = monotonic() + TURN_SECONDS
    while waiting:
        yield waiting.popleft()
        if monotonic() >= end:
            return


def _directory(store: Store, version: Expired) -> Path:
    if version.version_code is None:
        return store.layout.staging(version.version_id)
    return store.layout.package_directory(version.developer_id, version.app_id, version.version_code)
