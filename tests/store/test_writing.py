"""The note of a writer at work outlives a writer that dies, and no other."""

import signal
import sqlite3
import threading

import pytest

from portal.store import database, writing
from portal.store.store import Store, open_store
from tests.support import dying

INSERT = "INSERT INTO developers (developer_id, name, created_at) VALUES (?, 'A', 0)"


def write(store: Store, name: str) -> None:
    with store.db.write() as tx:
        tx.execute(INSERT, (name,))


def die(store: Store, name: str) -> None:
    """Write as another process does, and die inside COMMIT."""

    def work() -> None:
        with open_store(store.settings).db.write() as tx:
            tx.execute(INSERT, (name,))
            dying.at_next_flush()

    assert dying.in_child(work) == signal.SIGSYS


def died(store: Store) -> bool:
    return writing.died(store.layout.database)


def test_a_writer_that_ends_well_or_raises_leaves_no_note(store: Store) -> None:
    write(store, "a")
    with pytest.raises(sqlite3.IntegrityError):
        write(store, "a")
    with pytest.raises(RuntimeError), store.db.write():
        raise RuntimeError
    assert not died(store)


def test_a_writer_at_work_is_not_one_that_died(store: Store) -> None:
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with store.db.write():
            inside.set()
            done.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    try:
        assert not died(store)
    finally:
        done.set()
        thread.join()
    assert not died(store)


def test_a_writer_that_dies_in_its_commit_is_noticed_at_once(store: Store) -> None:
    write(store, "a")
    die(store, "b")
    assert died(store)


def test_the_note_of_a_death_outlives_later_writers_until_it_is_forgotten(store: Store) -> None:
    write(store, "a")
    die(store, "b")
    for name in "cd":
        write(store, name)
    assert died(store)
    with database.turn(store.layout.database):
        writing.forget(store.layout.database)
    assert not died(store)
    write(store, "e")
    assert not died(store)


def test_a_commit_whose_flush_fails_counts_as_a_death(store: Store) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    with pytest.raises(sqlite3.OperationalError), store.db.write():
        raise error
    assert died(store)


def test_a_full_disk_is_no_death(store: Store) -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    with pytest.raises(sqlite3.OperationalError), store.db.write():
        raise error
    assert not died(store)


def test_a_place_that_takes_no_note_fails_no_write(store: Store) -> None:
    note = store.layout.database.with_name(store.layout.database.name + writing.SUFFIX)
    note.unlink()
    note.mkdir()
    write(store, "a")
    assert not died(store)
