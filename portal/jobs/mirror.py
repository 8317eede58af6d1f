"""Copy what is published to the bucket of the setting `mirror`, and delete there what has long left the store.

A run works off what the record of the bucket has as pending. It may be killed at any point, or meet a bucket that is
away for days: the next one continues. It never blocks a publish, which knows nothing of it.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field

from portal.faults import sentence
from portal.jobs.alone import alone
from portal.mirror import catalogue, claim, objects, orphans, wanted
from portal.mirror.catalogue import CatalogueError
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.objects import Listed
from portal.mirror.providers import engine_of
from portal.mirror.record import Record, Unwanted
from portal.mirror.scan import scan
from portal.mirror.wanted import Wanted
from portal.recovery import lineage
from portal.store import clock_trust, job_runs, retention
from portal.store.clock import now
from portal.store.store import Store

JOB = "mirror"
WORKERS = 4  # objects under way at once
FAILURES_MAX = 3  # of the bucket, in a row: then the run ends, and the next one tries again
DELETE_AFTER_SECONDS = 7 * retention.DAY
"""How long an object outlives its version: longer than any cache, catalogue or device may still name it."""
VERIFY_SECONDS = retention.DAY
"""How often the objects of the bucket are listed, which costs a request per thousand: until then devices may be sent to
an object that somebody has deleted."""
DELETE_MAX, DELETE_PART_MAX = 100, 0.3  # of the objects; a run that would delete more than both deletes none
OTHERS = ("temp/", "drafts/", claim.MARKER)
"""What else the bucket has, by prefix."""


@dataclass(frozen=True)
class Report:
    """Keys of objects that were copied and deleted, or would be; nothing shows that `strangers` are the store's."""

    copied: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)


def mirror(
    store: Store,
    *,
    verify: bool = False,
    adopt: bool = False,
    force: bool = False,
    report: Callable[[str, str], object] = lambda verb, key: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Bring the bucket up to date; with `verify`, and once a day, compare its list with the record first.

    `report` receives `copied` or `deleted` and the key, `progress` objects done and in all.
    Raises MirrorError if something remains to be done, SettingsError without a mirror, RunningError while it runs.
    """
    if store.settings.follow:
        raise MirrorError(f"This host is a standby: {store.settings.follow.store} copies its own store to the bucket.")
    with alone(store, JOB), job_runs.recorded(store.db, JOB), closing(Record.open(store.layout)) as record:
        run = _Run(store, Bucket(engine_of(store.settings)), record, report, progress)
        return run.run(verify=verify, adopt=adopt, force=force)


def preview(store: Store) -> Report:
    """What a run would do, by what is known of the bucket; nothing is changed, and the bucket is not asked."""
    engine_of(store.settings)
    with closing(Record.read(store.layout)) as read, closing(read.copy()) as record:
        timestamp = catalogue.timestamp(store.layout)
        scan(store.db.read(), store.layout, record)
        found = catalogue.state(store.layout, record, timestamp) if timestamp else None
        copied = [key for key in record.pending_keys() if not key.startswith(catalogue.APP_ID)]
        copied += [one.key for stage in found.stages for one in stage] if found else []
        return Report(copied, [one.key for one in record.unwanted(now() - DELETE_AFTER_SECONDS)])


class _Run:
    def __init__(
        self,
        store: Store,
        bucket: Bucket,
        record: Record,
        report: Callable[[str, str], object],
        progress: Callable[[int, int], None],
    ) -> None:
        self._store, self._bucket, self._record = store, bucket, record
        self._report, self._progress = report, progress
        self._done = Report()
        self._faults: list[str] = []
        self._failures = 0  # of the bucket, since it last worked
        self._absent: set[str] = set()  # keys that a list just now did not have
        self._unknown: list[Listed] = []  # objects that it had, and the record not

    def run(self, *, verify: bool, adopt: bool, force: bool) -> Report:
        db = self._store.db.read()
        if db.execute("SELECT 1 FROM audit LIMIT 1").fetchone() is None:
            return self._done  # a store without history has nothing to copy, and cannot be told from another one
        clock = clock_trust.look(self._store.db.directory, db, confirmed=force)
        clock_trust.remember(self._store.db.directory, clock.witness)
        timestamp = self._timestamp()
        scan(db, self._store.layout, self._record)  # before the bucket, which may be away: status shows what waits
        point = lineage.point(db)
        self._marker = claim.check(self._bucket, self._record, str(point.origin), point.timeline, adopt=adopt)
        scan(db, self._store.layout, self._record)
        if verify or not 0 <= now() - self._record.listed_at <= VERIFY_SECONDS:
            self._verify()
            self._record.listed_at = now()
        for documents in (False, True):
            self._copy(documents=documents)
        if timestamp is not None:
            self._copy_catalogue(timestamp)
        if self._failures < FAILURES_MAX:
            self._judge()
            self._record.unnamed(now())
        self._delete(clock.doubt, force=force)
        if self._faults:
            raise MirrorError(self._summary())
        return self._done

    def _verify(self) -> None:
        """Compare the record with the list of the bucket: what it lacks, or has otherwise, is copied again."""
        etags, self._absent = self._record.etags(), set(self._record.pending_keys())
        for found in objects.listed(self._bucket):
            if etags.get(found.key) == found.etag:
                del etags[found.key]
            elif found.key not in etags and found.key not in self._absent and not found.key.startswith(OTHERS):
                self._unknown.append(found)
            self._absent.discard(found.key)
        self._lack(etags)

    def _lack(self, keys: Iterable[str]) -> None:
        db, layout = self._store.db.read(), self._store.layout
        for key in keys:
            app_id = self._record.lack(key)
            if app_id == catalogue.APP_ID:
                self._record.lack(catalogue.TIMESTAMP)  # so that the catalogue is compared again
            one = wanted.of_app(db, layout, app_id).get(key) if app_id else None
            if one:
                self._record.want(key, one.app_id, now(), is_document=one.is_document)

    def _judge(self) -> None:
        """Have what is ours and nothing names deleted late, and report the rest."""
        unknown = [one for one in self._unknown if self._record.app_of(one.key) is None]
        found = list(orphans.among(self._bucket, self._store.db.read(), self._record, unknown))
        for orphan in found:
            self._record.unwant_unknown(orphan.object, orphan.etag)
        ours = {orphan.object.key for orphan in found}
        self._done.strangers.extend(one.key for one in unknown if one.key not in ours)

    def _copy(self, *, documents: bool) -> None:
        if self._failures >= FAILURES_MAX:
            return
        waiting = self._record.waiting(documents=documents)
        waiting.pop(catalogue.APP_ID, None)
        self._send(self._still_wanted(waiting), sum(map(len, waiting.values())))

    def _timestamp(self) -> bytes | None:
        """The catalogue's, None if there is none; one that cannot be read keeps no package away from the bucket."""
        try:
            return catalogue.timestamp(self._store.layout)
        except OSError as error:
            self._faults.append(sentence(error))
            return None

    def _copy_catalogue(self, timestamp: bytes) -> None:
        """Bring the state of the catalogue that the timestamp leads to, if all that it names is in the bucket."""
        if self._failures >= FAILURES_MAX:
            return
        try:
            found = catalogue.state(self._store.layout, self._record, timestamp)
            if found is None:
                return
            self._record.want(catalogue.TIMESTAMP, catalogue.APP_ID, now(), is_document=True)
            self._record.keep(catalogue.APP_ID, found.keys)
            if found.waits_for:
                self._report("waiting for", found.waits_for)
                return
            catalogue.require_newer(found, timestamp, objects.content(self._bucket, catalogue.TIMESTAMP))
        except (CatalogueError, MirrorError) as error:
            if timestamp == self._timestamp():  # else the next state is being written, which the next run copies
                self._faults.append(sentence(error))
            return
        if all(self._send(stage, len(stage)) for stage in found.stages):
            self._record.unwant(self._record.objects(catalogue.APP_ID).keys() - found.keys)
            self._record.forget_names()

    def _send(self, ones: Iterable[Wanted], total: int) -> bool:
        """Copy objects, and record each; whether all are there."""
        before, faults = len(self._done.copied), len(self._faults)
        running: dict[Future[str], Wanted] = {}
        with ThreadPoolExecutor(WORKERS) as pool:
            for one in ones:
                running[pool.submit(objects.ensure, self._bucket, one, absent=one.key in self._absent)] = one
                if len(running) >= 2 * WORKERS:
                    self._note(running)
                    self._progress(len(self._done.copied) - before, total)
                if self._failures >= FAILURES_MAX:
                    break
            while running:
                self._note(running)
                self._progress(len(self._done.copied) - before, total)
        return len(self._faults) == faults

    def _still_wanted(self, waiting: dict[str, list[str]]) -> Iterator[Wanted]:
        db, layout = self._store.db.read(), self._store.layout
        for app_id, keys in waiting.items():
            found = wanted.of_app(db, layout, app_id)
            yield from (found[key] for key in keys if key in found)

    def _note(self, running: dict[Future[str], Wanted]) -> None:
        """Wait for one of the objects under way, and record what is done."""
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            one = running.pop(future)
            try:
                self._record.have(one.key, one.app_id, one.sha256, future.result())
            except MirrorError as error:
                self._failures += 1
                self._faults.append(sentence(error))
            except (objects.DamagedError, OSError) as error:
                self._faults.append(sentence(error))
            else:
                self._failures = 0
                self._done.copied.append(one.key)
                self._report("copied", one.key)

    def _delete(self, doubt: str, *, force: bool) -> None:
        """Delete what has been unwanted for long, under the same guards as the cleanup of the store."""
        if self._failures >= FAILURES_MAX:
            return
        due = self._record.unwanted(now() - DELETE_AFTER_SECONDS)
        files = [one for one in due if one.app_id != catalogue.APP_ID]  # the catalogue can be made anew
        if due and doubt:
            self._faults.append(f"Nothing was deleted from the bucket. {doubt}")
        elif len(files) > max(DELETE_MAX, DELETE_PART_MAX * self._record.count()) and not force:
            self._faults.append(
                f"{len(files)} of {self._record.count()} objects are to be deleted, and none was: check"
                " `mosis mirror --dry-run`, then run `mosis mirror --force`."
            )
        elif due:
            claim.count_deletion(self._bucket, self._record, self._marker)
            for one in due:
                self._delete_one(one)

    def _delete_one(self, one: Unwanted) -> None:
        if one.key in wanted.of_app(self._store.db.read(), self._store.layout, one.app_id):
            return  # again, since the scan
        try:
            is_deleted = objects.delete_own(self._bucket, one.key, one.sha256)
        except MirrorError as error:
            self._faults.append(sentence(error))
            return
        self._record.lack(one.key)
        if is_deleted:
            self._done.deleted.append(one.key)
            self._report("deleted", one.key)

    def _summary(self) -> str:
        more = f" (and {len(self._faults) - 1} more)" if self._faults[1:] else ""
        waiting = self._record.pending().number
        return f"{self._faults[0]}{more}{f' {waiting} files remain to be copied.' if waiting else ''}"
