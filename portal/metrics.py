"""Every metric of the contract, named here and nowhere else, and right with several worker processes.

Counters and histograms live in files that all workers share (in a directory that `mosis serve` makes); what
the database and the disk know is read when Prometheus asks. Labels are from closed lists: no app, token or address.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from portal import __version__, metrics_files, thresholds
from portal.catalogue import state as states
from portal.images.errors import ImageRejected
from portal.jobs import certificate, recovery_figures, table
from portal.mirror import scan
from portal.recovery import mending, replica
from portal.settings import METRICS_VARIABLE, Settings
from portal.store import clock_trust, job_runs, usage, versions
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.layout import Layout
from portal.store.states import STATUSES
from portal.store.store import Store

REQUEST_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TTFB_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)  # the design's target is 0.1
UPLOAD_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)  # the design's target is 30

UPLOAD_KINDS = ("package", "icon", "screenshot")
DOWNLOAD_KINDS = ("package", "asset")

SCRUB_COUNTS = {
    "checked": "Files that scrubs read.",
    "corrupt": "Files that scrubs found missing or damaged, in the store and on the drive.",
    "repaired": "Files that scrubs mended.",
}


@dataclass
class Measured:
    """What a transfer moved, in bytes."""

    bytes: int = 0


@dataclass
class Download(Measured):
    """A download under way; `status` is HTTP's."""

    status: int = 0


class Metrics:
    """The metrics of one application."""

    def __init__(self, store: Store) -> None:
        metrics_files.install()
        self._registry = CollectorRegistry()
        self._store = _StoreCollector(store)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"mosis_{name}", text, labels, registry=self._registry)

        def histogram(name: str, text: str, edges: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"mosis_{name}", text, labels, buckets=edges, registry=self._registry)

        self._requests = counter("http_requests", "Requests answered.", "route", "method", "code")
        self._seconds = histogram("http_request_duration_seconds", "Until the answer began.", REQUEST_SECONDS, "route")
        self._uploads = counter("uploads", "Uploads, by outcome.", "kind", "result", "reason")
        self._upload_seconds = histogram("upload_duration_seconds", "Of uploads that succeeded.", UPLOAD_SECONDS)
        self._upload_bytes = counter("upload_bytes", "Bytes of files taken in.")
        self._downloads = counter("downloads", "Downloads, by outcome.", "kind", "result")
        self._ttfb = histogram("download_ttfb_seconds", "Until the first byte of a download.", TTFB_SECONDS)
        self._download_bytes = counter("download_bytes", "Bytes of files sent.")
        # A series that is born at 1 hides its first failure from rate().
        for kind in UPLOAD_KINDS:
            for result, reason in (("ok", ""), ("failed", "STORAGE_ERROR"), ("failed", "INTERNAL_ERROR")):
                self._uploads.labels(kind, result, reason)
        for kind in DOWNLOAD_KINDS:
            for result in ("ok", "refused", "failed"):
                self._downloads.labels(kind, result)

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(route, method, code).inc()
        self._seconds.labels(route).observe(seconds)

    @contextmanager
    def upload(self, kind: str, *, seconds: float = 0) -> Iterator[Measured]:
        """Count the block as one upload: `ok`, `refused` (the client's fault, by code) or `failed` (ours).

        `seconds` is how long the upload took before the block.
        """
        measured, started = Measured(), perf_counter()
        with self.upload_part(kind):
            yield measured
        self._uploads.labels(kind, "ok", "").inc()
        self._upload_seconds.observe(seconds + perf_counter() - started)
        self._upload_bytes.inc(measured.bytes)

    @contextmanager
    def upload_part(self, kind: str) -> Iterator[None]:
        """Count the block only if the upload ends in it: as `refused` or `failed`."""
        try:
            yield
        except (Refused, ImageRejected) as refused:
            self._uploads.labels(kind, "refused", refused.code).inc()
            raise
        except Exception as error:
            reason = "STORAGE_ERROR" if isinstance(error, (OSError, sqlite3.Error)) else "INTERNAL_ERROR"
            self._uploads.labels(kind, "failed", reason).inc()
            raise

    @contextmanager
    def download(self, kind: str, started: float) -> Iterator[Download]:
        """Count the block as one download: `ok`, `refused` (a condition of the client) or `failed` (a file is gone).

        `started` is when the request began, by `time.perf_counter`.
        """
        measured = Download()
        try:
            yield measured
        except Exception:
            self._downloads.labels(kind, "failed").inc()
            raise
        self._downloads.labels(kind, "ok" if measured.status < 400 else "refused").inc()
        self._ttfb.observe(perf_counter() - started)
        self._download_bytes.inc(measured.bytes)

    def exposition(self) -> bytes:
        """The text that Prometheus reads: all workers' numbers, and the store's."""
        registry = self._registry
        if os.environ.get(METRICS_VARIABLE):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        own = CollectorRegistry()
        own.register(self._store)
        return generate_latest(registry) + generate_latest(own)


class _StoreCollector(Collector):
    """What the database and the disk say at the moment of the scrape; the same in every worker."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        db, layout = self._store.db.read(), self._store.layout
        yield _gauge("storage_bytes", "Bytes in use.", "area", usage.by_area(db, layout))
        budget = self._store.settings.storage_budget_bytes
        yield _value("storage_budget_bytes", "Bytes that may be in use.", budget)
        nearly = thresholds.STORAGE_NEARLY_FULL * budget
        yield _value("storage_nearly_full_bytes", "Bytes in use above which the budget is nearly spent.", nearly)
        yield _value("disk_free_bytes", "Bytes free on the disk of the store.", shutil.disk_usage(layout.root).free)
        yield _value("disk_free_min_bytes", "Bytes that should be free there.", thresholds.DISK_FREE_BYTES_MIN)
        counted = versions.count(db)
        yield _gauge("versions", "Versions.", "status", {status: counted.get(status, 0) for status in STATUSES})
        yield from self._jobs(db)
        yield from self._mirror(db)
        yield from _catalogue(layout)
        deleted = CounterMetricFamily(
            "mosis_cleanup_deleted", "Versions and leftovers of crashes that were deleted.", labels=["status"]
        )
        for label, value in job_runs.counters(db, "cleanup_deleted").items():
            deleted.add_metric([label], value)
        yield deleted
        for name, what in SCRUB_COUNTS.items():
            value = job_runs.counters(db, f"scrub_{name}").get("", 0)
            yield CounterMetricFamily(f"mosis_scrub_{name}", what, value=value)
        damaged = "Damaged files of the store that are set aside and not mended."
        yield _value("quarantined_files", damaged, mending.quarantined(layout))
        if self._store.settings.litestream:
            yield from _replica(layout)
        if port := self._store.settings.tls_port:
            yield from _certificate(port, urlsplit(self._store.settings.public_url).hostname)
        trusted = "1 while the clock may decide what is too old to keep, 0 while cleanup refuses because of it."
        doubt = clock_trust.look(self._store.db.directory, db).doubt
        yield _value("clock_trusted", trusted, 0 if doubt else 1)
        text = "1 while counts of some worker are missing here, because there was no room for them."
        yield GaugeMetricFamily("mosis_metrics_incomplete", text, value=metrics_files.incomplete())
        yield _gauge("build_info", "The running program.", "version", {__version__: 1})

    def _mirror(self, db: sqlite3.Connection) -> Iterator[Metric]:
        if self._store.settings.mirror is None:
            return
        pending = scan.pending(db, self._store.layout)
        yield _value("mirror_pending", "Published files that the mirror's bucket lacks.", pending.number)
        since = "Since when the oldest of them has been published; 0: there is none."
        yield _value("mirror_pending_since_timestamp_seconds", since, pending.since)

    def _jobs(self, db: sqlite3.Connection) -> Iterator[Metric]:
        """Each job that this store should run has its series from the start: 0 until the first success."""
        jobs, runs = table.expected(self._store.settings), job_runs.every(db)
        last = {job.name: (job.name in runs and runs[job.name].success_at) or 0 for job in jobs}
        yield _job_last_success(last)
        since = job_runs.expected_since(db, last)
        yield _gauge(
            "job_expected_since_timestamp_seconds", "Since when a job has been expected to run.", "kind", since
        )
        yield _job_max_age(jobs)
        backups = {name.removeprefix("backup-"): at for name, at in last.items() if name.startswith("backup-")}
        yield _gauge(
            "backup_last_success_timestamp_seconds", "When a backup last succeeded; 0: never.", "kind", backups
        )
        drilled = "When a restore was last rehearsed successfully; 0: never."
        yield _value("restore_drill_last_success_timestamp_seconds", drilled, last.get("drill", 0))
        figures = recovery_figures.read(db)
        lost = "Acknowledged changes that the newest copy of a kind lacked in the last rehearsal: age of the oldest."
        yield _gauge("restore_drill_recovery_point_seconds", lost, "kind", figures.point)
        took = "Time to restore from that copy and to serve a package; kind drive: with every file on the drive."
        yield _gauge("restore_drill_recovery_time_seconds", took, "kind", figures.time)
        if "mirror" in last:
            mirrored = "When the mirror's bucket last had every published file; 0: never."
            yield _value("mirror_last_success_timestamp_seconds", mirrored, last["mirror"])


def _catalogue(layout: Layout) -> Iterator[Metric]:
    """What the job of the catalogue knows; no series before its first run."""
    state = states.read(layout.catalogue_state)
    expires = "When the catalogue's signatures end; of bins the first one."
    yield _gauge("catalogue_expires_timestamp_seconds", expires, "role", state.expires if state else {})
    left = "How long they should still be valid at any time."
    yield _gauge("catalogue_seconds_left_min", left, "role", thresholds.CATALOGUE_SECONDS_LEFT_MIN)


def _certificate(port: int, name: str | None) -> Iterator[Metric]:
    """What a client of https meets."""
    ends = "When the certificate ends that nginx presents; 0: it presents none."
    yield _value("certificate_expires_timestamp_seconds", ends, certificate.ends(port, name))
    left = "How long it should still be valid at any time."
    yield _value("certificate_seconds_left_min", left, thresholds.CERTIFICATE_SECONDS_LEFT_MIN)


def _replica(layout: Layout) -> Iterator[Metric]:
    """What `mosis replicate` knows."""
    state = replica.read(layout)
    proved = "When the replica was last restored and found equal to the store; 0: never."
    yield _value("replica_verified_timestamp_seconds", proved, state.verified_at or 0)
    yield _value("replica_verified_max_age_seconds", "Age beyond which a proof is overdue.", state.max_age)
    lag = 0 if state.behind_since is None else max(0, now() - state.behind_since)
    yield _value("replica_lag_seconds", "For how long the replica has lacked a write.", lag)
    yield _value("replica_lag_max_seconds", "For how long it may.", thresholds.REPLICA_LAG_SECONDS_MAX)
    restarts = "Times that Litestream was started anew because something was wrong."
    yield CounterMetricFamily("mosis_replica_restarts", restarts, value=state.restarts)
    yield _value("wal_bytes", "Bytes of the WAL of the database.", replica.size(layout.wal))
    yield _value(
        "wal_max_bytes", "Bytes above which Litestream is started anew over an empty one.", thresholds.WAL_BYTES_MAX
    )


class _Fixed(Collector):
    """Metrics that are known already."""

    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def standby_exposition(settings: Settings, success_at: int) -> bytes:
    """The text that Prometheus reads on a standby; `success_at` is in seconds since 1970."""
    jobs, registry = table.expected(settings), CollectorRegistry()
    copied = "When the store was last copied to this standby."
    last = _value("standby_last_success_timestamp_seconds", copied, success_at)
    registry.register(_Fixed(last, _job_last_success({job.name: success_at for job in jobs}), _job_max_age(jobs)))
    return generate_latest(registry)


def _job_last_success(at: Mapping[str, float]) -> GaugeMetricFamily:
    return _gauge("job_last_success_timestamp_seconds", "When a job last succeeded; 0: never.", "kind", at)


def _job_max_age(jobs: Iterable[table.Job]) -> GaugeMetricFamily:
    ages = {job.name: job.max_age for job in jobs}
    return _gauge("job_max_age_seconds", "Age of its last success beyond which a job is overdue.", "kind", ages)


def _value(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"mosis_{name}", text, value=value)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"mosis_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
