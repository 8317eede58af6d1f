"""The figures of a history are what a real portal has counted."""

import time
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from portal.server import sampling
from portal.server.metrics_directory import PREFIX
from portal.settings import METRICS_VARIABLE
from portal.store import history
from portal.store.history import PERIOD, RINGS, History
from portal.store.store import Store
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher


def figures(portal: Portal) -> dict[str, int]:
    """By `figure/label`."""
    with portal.client() as client:
        counted = sampling.counted(text_string_to_metric_families(client.get("/metrics").text))
    return {f"{figure}/{label}": value for figure, values in counted.items() for label, value in values.items()}


def test_a_portal_takes_its_first_sample_when_it_starts(portal: Portal) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with closing(History.read(portal.store.layout)) as found:
            rows = found.rows(RINGS[0])
        if rows or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert {"packages", "backups"} <= rows[-1].noted["storage"].keys()


def test_requests_are_counted_without_probes(portal: Portal) -> None:
    before = figures(portal)
    with portal.client() as client:
        for path in ("/healthz", "/readyz", "/metrics", "/api/store/apps", "/api/store/apps/org.example.none"):
            client.get(path)
    grown = {name: value - before.get(name, 0) for name, value in figures(portal).items()}
    assert {name: value for name, value in grown.items() if name.startswith("requests/") and value} == {
        "requests/2xx": 1,
        "requests/4xx": 1,
    }
    assert grown["answer_seconds/+Inf"] == 2


def test_an_upload_counts_as_such_and_not_in_the_time_to_answer(portal: Portal, publisher: Publisher) -> None:
    before = figures(portal)
    publisher.publish(1)
    publisher.client.get(publisher.client.get("/api/store/apps/" + publisher.app_id).json()["download_url"])
    grown = {name: value - before.get(name, 0) for name, value in figures(portal).items()}
    assert (grown["uploads/ok"], grown["upload_seconds/+Inf"], grown["bytes/received"] > 0) == (1, 1, True)
    assert (grown["downloads/ok"], grown["download_seconds/+Inf"], grown["bytes/sent"] > 0) == (1, 1, True)
    answers = grown["requests/2xx"] + grown.get("requests/4xx", 0)
    assert 0 < grown["answer_seconds/+Inf"] < answers


def test_what_all_workers_have_counted_is_added_up(
    portal: Portal, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METRICS_VARIABLE, str(directory(portal)))
    begin = history.now()
    for at, requests in ((begin, 0), (begin + PERIOD, 40)):
        for _ in range(requests):  # each by a connection of its own, so that both workers get some
            with portal.client() as client:
                client.get("/api/store/apps")
        monkeypatch.setattr(history, "now", lambda at=at: at)
        sampling.take(store)
        sampling.take(store)
    with closing(History.read(store.layout)) as found:
        (row,) = (row for row in found.rows(RINGS[0]) if row.labelled("requests").get("2xx"))
    assert (row.counted["requests"]["2xx"], row.seconds) == (40, PERIOD)


def directory(portal: Portal) -> Path:
    """Where the workers of a portal count: their server keeps it open."""
    assert portal.process
    opened = (link.readlink() for link in Path(f"/proc/{portal.process.pid}/fd").iterdir())
    return next(path for path in opened if path.name.startswith(PREFIX))


def test_without_shared_counters_the_disk_is_noted_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(METRICS_VARIABLE, raising=False)
    sampling.take(store)
    with closing(History.read(store.layout)) as found:
        (row,) = found.rows(RINGS[0])
    assert (row.counted, row.seconds) == ({}, 0)
    assert row.noted["storage"]["data"] > 0
