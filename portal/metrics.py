"""Every metric of the contract, named here and nowhere else, and right with several worker processes.

Counters and histograms live in files that all workers share (in a directory that `mosis serve` makes); what
the database and the disk know is read when Prometheus asks. Labels are from closed lists: no app, token or address.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from portal import __version__, metrics_files
from portal.images import ImageRejected
from portal.settings import METRICS_VARIABLE
from portal.store import files, job_runs, versions
from portal.store.errors import Refused
from portal.store.states import STATUSES
from portal.store.store import Store

REQUEST_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TTFB_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)  # the design's target is 0.1
UPLOAD_SECONDS = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)  # the design's target is 30

UPLOAD_KINDS = ("package", "icon", "screenshot")
DOWNLOAD_KINDS = ("package", "asset")


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
        jobs = job_runs.every(db)
        sizes = {
            "packages": db.execute(
                f"SELECT coalesce(sum(size), 0) FROM versions WHERE {versions.PLACED}"
            ).fetchone()[0],
            "assets": db.execute("SELECT coalesce(sum(size), 0) FROM assets").fetchone()[0],
            **{area: files.disk_usage([layout.area(area)]) for area in ("data", "temp", "backups")},
        }  # fmt: skip
        yield _gauge("storage_bytes", "Bytes in use.", "area", sizes)
        budget = self._store.settings.storage_budget_bytes
        yield GaugeMetricFamily("mosis_storage_budget_bytes", "Bytes that may be in use.", value=budget)
        yield _gauge("versions", "Versions.", "status", dict.fromkeys(STATUSES, 0) | versions.count(db))
        backups = {job.removeprefix("backup-"): run for job, run in jobs.items() if job.startswith("backup-")}
        yield _gauge(
            "backup_last_success_timestamp_seconds",
            "When a backup last succeeded.",
            "kind",
            {kind: run.success_at for kind, run in backups.items() if run.success_at},
        )
        if (rehearsed := jobs.get("drill")) and rehearsed.success_at:
            text = "When a restore was last rehearsed with success."
            name = "mosis_restore_drill_last_success_timestamp_seconds"
            yield GaugeMetricFamily(name, text, value=rehearsed.success_at)
        deleted = CounterMetricFamily("mosis_cleanup_deleted", "Versions that cleanup deleted.", labels=["status"])
        for label, value in job_runs.counters(db, "cleanup_deleted").items():
            deleted.add_metric([label], value)
        yield deleted
        text = "1 while counts of some worker are missing here, because there was no room for them."
        yield GaugeMetricFamily("mosis_metrics_incomplete", text, value=metrics_files.incomplete())
        yield _gauge("build_info", "The running program.", "version", {__version__: 1})


def standby_exposition(success_at: int) -> bytes:
    """The text that Prometheus reads on a standby; `success_at` is in seconds since 1970."""
    registry = CollectorRegistry()
    text = "When the store was last copied to this standby."
    Gauge("mosis_standby_last_success_timestamp_seconds", text, registry=registry).set(success_at)
    return generate_latest(registry)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"mosis_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
