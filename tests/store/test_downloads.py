"""Downloads are counted per version and day, without a write for each."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from portal.jobs import cleanup
from portal.store import audit, deletion, downloads
from portal.store.downloads import Count, Counting
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.portal import add_developer
from tests.support.publishing import add_app, publish

NEVER = 1e6  # seconds; the tests flush themselves
DAY = downloads.DAY


@pytest.fixture
def published(store: Store) -> Store:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    for code in (1, 2):
        publish(store, APP_ID, code)
    return store


def on(monkeypatch: pytest.MonkeyPatch, day: int) -> None:
    """Let it be that day."""
    monkeypatch.setattr(downloads, "now", lambda: day * DAY + 1)


def test_counts_of_threads_and_flushes_add_up(published: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, 1000)
    counting = Counting(published.db, every=NEVER)
    for _ in range(2):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: counting.add(APP_ID, 1), range(100)))
        counting.flush()
    on(monkeypatch, 1001)
    for code in (1, 2):
        counting.add(APP_ID, code)
    counting.flush()
    db = published.db.read()
    assert downloads.of_app(db, APP_ID, 2) == [Count(1, 1000, 200), Count(1, 1001, 1), Count(2, 1001, 1)]
    assert downloads.of_app(db, APP_ID, 1) == [Count(1, 1001, 1), Count(2, 1001, 1)]
    assert downloads.totals(db, APP_ID) == {1: 201, 2: 1}
    assert downloads.most(db, 1, 9) == {APP_ID: 2}


def test_a_timer_flushes(published: Store) -> None:
    counting = Counting(published.db, every=0.01)
    counting.add(APP_ID, 1)
    timer = counting._timer
    assert timer is not None and timer.daemon
    timer.join(60)
    assert downloads.totals(published.db.read(), APP_ID) == {1: 1}


def test_what_cannot_be_written_is_written_later(published: Store) -> None:
    counting = Counting(published.db, every=NEVER)
    counting.add(APP_ID, 1)
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(downloads, "ADD", "INSERT INTO nothing VALUES (1)")
        with pytest.raises(sqlite3.OperationalError):
            counting.flush()
    counting.add(APP_ID, 1)
    counting.flush()
    assert downloads.totals(published.db.read(), APP_ID) == {1: 2}


def test_memory_is_bounded(published: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "PENDING_MAX", 1)
    counting = Counting(published.db, every=NEVER)
    for code in (1, 2, 1):
        counting.add(APP_ID, code)
    counting.flush()
    assert downloads.totals(published.db.read(), APP_ID) == {1: 2}


def test_nothing_is_counted_of_what_is_gone(published: Store) -> None:
    counting = Counting(published.db, every=NEVER)
    for code in (1, 2):
        counting.add(APP_ID, code)
    deletion.delete_version(published, audit.OPERATOR, APP_ID, 2, "By order of a court.")
    counting.flush()
    assert downloads.totals(published.db.read(), APP_ID) == {1: 1}


def test_old_days_become_one_number(published: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(published.db, every=NEVER)
    for day in (1000, 1001, 1002):
        on(monkeypatch, day)
        counting.add(APP_ID, 1)
        counting.flush()
    monkeypatch.undo()
    for _ in range(2):
        cleanup.cleanup(published, force=True)
    rows = [tuple(row) for row in published.db.read().execute("SELECT version_code, day, number FROM downloads")]
    assert rows == [(1, downloads.EARLIER, 3)]
