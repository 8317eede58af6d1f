"""Pragmas and transactions."""

import multiprocessing
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from portal.store import database
from portal.store.errors import DatabaseBusy
from portal.store.store import Store

NORMAL, FULL = 1, 2  # of PRAGMA synchronous


@pytest.mark.parametrize(("litestream", "pages"), [(True, 0), (False, database.AUTOCHECKPOINT_PAGES)])
def test_litestream_alone_checkpoints_when_it_is_there(store: Store, litestream: bool, pages: int) -> None:
    db = database.Database(store.layout.database, litestream=litestream).read()
    values = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous",
              "wal_autocheckpoint", "foreign_keys", "busy_timeout")}  # fmt: skip
    assert values == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": pages, "foreign_keys": 1,
                      "busy_timeout": 5000}  # fmt: skip


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.db.write() as tx:
        tx.execute("INSERT INTO developers (developer_id, name, created_at) VALUES ('a', 'A', 0)")
        raise RuntimeError
    assert store.db.read().execute("SELECT count(*) FROM developers").fetchone()[0] == 0
    with store.db.write() as tx:
        tx.execute("INSERT INTO developers (developer_id, name, created_at) VALUES ('a', 'A', 0)")


def test_writers_wait_their_turn(store: Store) -> None:
    """Without a queue they would fail here: SQLite waits for nobody, and each begins while another is at it."""
    ready = threading.Barrier(8)

    def write(number: int) -> None:
        store.db.read().execute("PRAGMA busy_timeout = 0")
        ready.wait(30)
        for turn in range(20):
            with store.db.write() as tx:
                tx.execute(
                    "INSERT INTO developers (developer_id, name, created_at) VALUES (?, '', 0)", (f"{number}-{turn}",)
                )
        store.db.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert store.db.read().execute("SELECT count(*) FROM developers").fetchone()[0] == 8 * 20


def write_many(path: Path, name: str, start: "multiprocessing.synchronize.Event") -> None:
    db = database.Database(path, litestream=False)
    db.read().execute("PRAGMA busy_timeout = 0")
    start.wait(60)
    for turn in range(50):
        with db.write() as tx:
            tx.execute("INSERT INTO developers (developer_id, name, created_at) VALUES (?, '', 0)", (f"{name}-{turn}",))


def test_processes_wait_their_turn(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    start, path = context.Event(), store.layout.database
    processes = [context.Process(target=write_many, args=(path, name, start)) for name in "abc"]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert store.db.read().execute("SELECT count(*) FROM developers").fetchone()[0] == 3 * 50


def test_a_writer_does_not_wait_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        store.db.read().execute("PRAGMA busy_timeout = 0")
        with store.db.write():
            pass

    monkeypatch.setattr(database, "TURN_SECONDS", 0)
    with ThreadPoolExecutor() as pool:
        with store.db.write(), pytest.raises(DatabaseBusy, match="Other writers held"):
            pool.submit(write).result(30)
        with closing(database.connect(store.layout.database, litestream=False)) as another:
            another.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseBusy, match="Another program"):
                pool.submit(write).result(30)
        pool.submit(write).result(30)


def test_every_thread_has_its_own_connection(store: Store) -> None:
    seen: list[sqlite3.Connection] = []
    threads = [threading.Thread(target=lambda: seen.append(store.db.read())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(connection) for connection in [*seen, store.db.read()]}) == 4


def test_a_flush_reaches_the_wal(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(
        database.os, "fsync", lambda file: flushed.append(str(Path(f"/proc/self/fd/{file}").readlink()))
    )
    with store.db.write(durable=False) as tx:
        tx.execute("INSERT INTO developers (developer_id, name, created_at) VALUES ('a', 'A', 0)")
    assert flushed == []
    store.db.flush()
    assert flushed == [f"{store.layout.database}-wal"]


def test_a_database_without_a_wal_is_flushed_already(store: Store) -> None:
    store.db.close()
    Path(f"{store.layout.database}-wal").unlink(missing_ok=True)
    store.db.flush()


def test_a_commit_is_flushed_only_if_it_is_to_be_durable(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    db = store.db.read()
    with store.db.write(durable=False) as tx:
        assert tx.execute("PRAGMA synchronous").fetchone()[0] == NORMAL
    assert db.execute("PRAGMA synchronous").fetchone()[0] == FULL
    with pytest.raises(ZeroDivisionError), store.db.write(durable=False):
        raise ZeroDivisionError
    assert db.execute("PRAGMA synchronous").fetchone()[0] == FULL
