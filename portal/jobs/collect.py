"""Fetch the packages that were uploaded to the private bucket, as their owners complete them.

Cron starts it every minute. It ends at once while no such upload is open, and else watches for most of that minute, so
that an owner waits for seconds. Each package is written as if its owner had sent it to the portal: flushed, then noted,
and only then is the object deleted. Killed at any point, the next run begins with that package again.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from portal.jobs.alone import alone
from portal.mirror import direct, objects
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.providers import private_of
from portal.mirror.record import Record
from portal.store import awaited, job_runs, signed_uploads
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.signed_uploads import Transfer
from portal.store.store import Store

JOB = "collect"
WATCH_SECONDS = 50.0
POLL_SECONDS = 1.0
SWEEP_SECONDS = 3600  # between two lists of `temp/`, each a request per thousand objects
SLOWEST = 64 * 1024  # bytes per second of a bucket that still counts as one that answers
PATIENCE_SECONDS = 60  # beside that
OWN_FAULTS = ("UPLOAD_INCOMPLETE", "DIGEST_MISMATCH")  # of the body; any other refusal means that the upload has ended

Report = Callable[[str, str], object]


def collect(store: Store, *, watch: float = WATCH_SECONDS, report: Report = lambda verb, key: None) -> None:
    """Fetch what is wanted, and for `watch` seconds what becomes wanted; `report` receives `fetched` or `deleted`.

    Raises MirrorError, SettingsError without a private bucket, RunningError while it runs.
    """
    if store.settings.follow:
        raise MirrorError(f"This host is a standby: {store.settings.follow.store} fetches its own uploads.")
    with alone(store, JOB), job_runs.recorded(store.db, JOB), closing(Record.open(store.layout)) as record:
        engine, end = private_of(store.settings), time.monotonic() + watch
        is_sweep_due = not 0 <= now() - record.swept_at < SWEEP_SECONDS
        if not is_sweep_due and not awaited.is_any_open(store.db.read()):
            return
        bucket = Bucket(engine)
        _watch(store, bucket, end, report)
        if is_sweep_due:
            _sweep(store, bucket, report)
            record.swept_at = now()


def _watch(store: Store, bucket: Bucket, end: float, report: Report) -> None:
    db = store.db.read()
    while True:
        for transfer in awaited.wanted(db):
            _fetch(store, bucket, transfer, report)
        if not awaited.is_any_open(db) or time.monotonic() >= end:
            return
        time.sleep(POLL_SECONDS)


def _fetch(store: Store, bucket: Bucket, transfer: Transfer, report: Report) -> None:
    """Write the body of an upload as `PUT` does, or note why not. Raises MirrorError, OSError."""
    try:
        with _at_most(PATIENCE_SECONDS + transfer.size // SLOWEST):
            _write(store, bucket, transfer)
    except Refused as refusal:
        if refusal.code in OWN_FAULTS:
            _delete(bucket, transfer)  # before its owner learns of it and sends another one
            awaited.refused(store, transfer, refusal)
        return
    except (MirrorError, OSError):
        awaited.unavailable(store, transfer)
        raise
    report("fetched", direct.key_of(transfer.upload_id))
    _delete(bucket, transfer)


def _write(store: Store, bucket: Bucket, transfer: Transfer) -> None:
    with signed_uploads.held(store, transfer.upload_id, wait=0) as upload:
        if not upload.transfer.whole:
            upload.restart()
            upload.append(direct.body(bucket, transfer), atomic=True)


def _delete(bucket: Bucket, transfer: Transfer) -> None:
    with suppress(MirrorError):  # then a sweep deletes it
        objects.delete(bucket, direct.key_of(transfer.upload_id))


def _sweep(store: Store, bucket: Bucket, report: Report) -> None:
    for key in list(direct.stale(bucket, store.db.read())):
        objects.delete(bucket, key)
        report("deleted", key)


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError inside the block after so many seconds: each read alone has a limit, not all together."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"The bucket did not deliver a package within {seconds} s.")

    before = signal.signal(signal.SIGALRM, expire)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds)  # the limit of the whole job
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *outer)
        signal.signal(signal.SIGALRM, before)
