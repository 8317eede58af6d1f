"""Writes the history that `/status` shows: every five minutes, in a thread of each worker, of which one does it.

Not a job: what the workers count is in memory of their own, which `mosis serve` makes.
"""

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from portal.app import MODULES
from portal.settings import METRICS_VARIABLE, Settings
from portal.store import disposable, usage, versions
from portal.store.history import PERIOD, Figures, History, Measured, added
from portal.store.store import Store, open_store

log = logging.getLogger(__name__)

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # what machines ask several times a minute says nothing of use
BODIES = frozenset(
    route.operation.rule
    for module in MODULES
    for route in module.routes
    if route.operation.form_file or route.operation.request_media_type
)
"""Routes that take files: their answers wait for the client."""

SUMS = {
    "mosis_uploads_total": ("uploads", "result"),
    "mosis_downloads_total": ("downloads", "result"),
    "mosis_upload_duration_seconds_bucket": ("upload_seconds", "le"),
    "mosis_download_ttfb_seconds_bucket": ("download_seconds", "le"),
}
"""Samples of metrics that are summed up by one label: the figure and the label."""
BYTES = {"mosis_upload_bytes_total": "received", "mosis_download_bytes_total": "sent"}


def start(settings: Settings) -> None:
    """Take samples in a thread, as long as the process lives."""

    def run() -> None:
        store = open_store(settings)
        with closing(store.db):
            while True:
                try:
                    take(store)
                except (OSError, sqlite3.Error) as error:  # a full disk, or a busy one
                    log.warning("%s: no figures for /status: %s", store.layout.history, error)
                time.sleep(PERIOD - time.time() % PERIOD)

    threading.Thread(target=run, name="sampling", daemon=True).start()


def take(store: Store) -> None:
    """Take a sample, unless another worker of this server has just done so. Raises sqlite3.Error, OSError."""
    directory = os.environ.get(METRICS_VARIABLE, "")
    try:
        with closing(History.open(store.layout)) as history:
            history.sample(Path(directory).name, lambda: Measured(_counted(directory), noted(store)))
    except sqlite3.DatabaseError as error:
        if disposable.is_damaged(error):  # in a page that opening it does not read
            disposable.discard(store.layout.history)
        raise


def _counted(directory: str) -> Figures:
    """What all workers have counted; nothing where each counts alone."""
    if not directory:
        return {}
    registry = CollectorRegistry()
    MultiProcessCollector(registry, directory)
    return counted(registry.collect())


def counted(metrics: Iterable[Metric]) -> Figures:
    """The counters of the history."""
    return added(
        {figure: {label: int(sample.value)}}
        for metric in metrics
        for sample in metric.samples
        for figure, label in _figure(sample.name, sample.labels)
    )


def _figure(sample: str, labels: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The figure and the label that a sample of a metric counts for, if any."""
    route = labels.get("route")
    if sample in SUMS:
        figure, label = SUMS[sample]
        yield figure, labels[label]
    elif sample in BYTES:
        yield "bytes", BYTES[sample]
    elif sample == "mosis_http_requests_total" and route not in PROBES:
        yield "requests", f"{labels['code'][0]}xx"
    elif sample == "mosis_http_request_duration_seconds_bucket" and route not in PROBES | BODIES:
        yield "answer_seconds", labels["le"]


def noted(store: Store) -> Figures:
    """How much of the disk is in use and free, and how many versions there are."""
    db, layout = store.db.read(), store.layout
    return {
        "storage": usage.by_area(db, layout),
        "versions": dict[str, int](versions.count(db).items()),
        "disk": {"free": shutil.disk_usage(layout.root).free},
    }
