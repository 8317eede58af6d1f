"""Failures of jobs that the database could not record."""

import sqlite3

import pytest

from portal.jobs import status
from portal.jobs.opening import open_for
from portal.jobs.status_line import Line
from portal.store import database, failure_marks, job_runs
from portal.store.errors import DatabaseBusy, DatabaseUnusable
from portal.store.store import Store


def line(store: Store) -> Line:
    return next(line for line in status.status(store.settings) if line.name == "cleanup")


def test_a_failure_on_a_full_disk_is_marked_and_stands_until_a_run_is_recorded(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError), job_runs.recorded(store.db, "cleanup"):
        store.db.read().execute("PRAGMA query_only = 1")  # as a disk that takes nothing
        raise sqlite3.OperationalError("database or disk is full")
    assert not line(store).ok and "The database failed: database or disk is full" in line(store).text
    store.db.read().execute("PRAGMA query_only = 0")
    with job_runs.recorded(store.db, "cleanup"):
        pass
    assert line(store).ok
    assert failure_marks.every(store.db.directory) == {}


def test_a_success_that_cannot_be_recorded_is_a_failure(store: Store) -> None:
    store.db.read().execute("PRAGMA query_only = 1")
    with pytest.raises(sqlite3.OperationalError), job_runs.recorded(store.db, "drill"):
        pass
    assert failure_marks.every(store.db.directory).keys() == {"drill"}


def test_a_recorded_failure_replaces_the_mark(store: Store) -> None:
    failure_marks.write(store.db.directory, "cleanup", "older")
    with pytest.raises(ValueError), job_runs.recorded(store.db, "cleanup"):
        raise ValueError("newer")
    assert "newer" in line(store).text


def test_a_busy_database_is_a_sentence_and_a_mark(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "TURN_SECONDS", 0.01)
    with store.db._turn, pytest.raises(DatabaseBusy), job_runs.recorded(store.db, "cleanup"), store.db.write():
        pass
    assert "Other writers held the database" in line(store).text


def test_a_mark_without_room_for_its_text_still_counts(store: Store) -> None:
    failure_marks.write(store.db.directory, "cleanup", "")
    assert failure_marks.UNKNOWN in line(store).text


def test_a_mark_that_cannot_be_made_hides_no_error(store: Store) -> None:
    failure_marks.write(store.layout.root / "missing", "cleanup", "The disk is gone.")
    assert failure_marks.every(store.layout.root / "missing") == {}


def test_a_store_that_cannot_be_opened_is_a_failure_of_the_job(store: Store) -> None:
    store.db.close()
    before = store.layout.database.read_bytes()
    store.layout.database.write_bytes(b"not a database" * 100)
    with pytest.raises(DatabaseUnusable):
        open_for("cleanup", store.settings)
    store.layout.database.write_bytes(before)
    assert "cannot be read" in line(store).text
