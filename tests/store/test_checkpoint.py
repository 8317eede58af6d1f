"""The WAL is emptied where nothing else would, and never while Litestream may run."""

import fcntl
from pathlib import Path

import pytest

from portal import thresholds
from portal.store import checkpoint
from portal.store.store import Store
from tests.support.portal import add_developer, make_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Its WAL is larger than it may be, and has every change."""
    monkeypatch.setattr(thresholds, "WAL_BYTES_MAX", 4096)
    made = make_store(tmp_path / "store", litestream=True)
    add_developer(made, "acme")
    assert made.layout.wal.stat().st_size > thresholds.WAL_BYTES_MAX
    return made


def names(store: Store) -> list[str]:
    return [row[0] for row in store.db.read().execute("SELECT developer_id FROM developers")]


def test_a_wal_that_nobody_checkpoints_is_bounded(store: Store) -> None:
    checkpoint.bound(store.layout)
    assert store.layout.wal.stat().st_size == 0
    assert names(store) == ["acme"]


def test_it_is_left_alone_while_litestream_runs(store: Store) -> None:
    size = store.layout.wal.stat().st_size
    with store.layout.replicate_lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        checkpoint.bound(store.layout)
    assert store.layout.wal.stat().st_size == size


def test_a_small_one_is_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    size = store.layout.wal.stat().st_size
    checkpoint.bound(store.layout)
    assert store.layout.wal.stat().st_size == size


def test_a_reader_prevents_it(store: Store) -> None:
    reader = store.db.read()
    reader.execute("PRAGMA busy_timeout = 0")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM audit").fetchone()
    assert not checkpoint.empty(store.layout.database)
    reader.execute("COMMIT")
    assert checkpoint.empty(store.layout.database)
