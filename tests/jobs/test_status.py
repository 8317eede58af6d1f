"""What `mosis status` reports about the jobs of a host, its replica, and a store that it cannot read."""

import os
from pathlib import Path

import pytest

from portal import thresholds
from portal.jobs import status, table
from portal.jobs.table import Job
from portal.store import job_runs
from portal.store.clock import now
from portal.store.store import Store
from tests.support.clock import move
from tests.support.litestream import replicate
from tests.support.portal import add_developer, make_store

OF_A_STORE = [job for job in table.JOBS if job.needs == "a store"]


def line_of(store: Store, name: str) -> status.Line:
    return {line.name: line for line in status.status(store.settings)}[name]


def clock(monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    at = now() + ahead
    monkeypatch.setattr(status, "now", lambda: at)


@pytest.mark.parametrize("job", OF_A_STORE, ids=lambda job: job.name)
def test_a_job_is_overdue_when_it_has_not_run_in_its_time(
    job: Job, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job_runs.recorded(store.db, job.name):
        pass
    clock(monkeypatch, job.max_age - 60)
    assert line_of(store, job.name).ok
    clock(monkeypatch, job.max_age + 60)
    line = line_of(store, job.name)
    assert not line.ok and line.text.startswith("overdue, last success 2")


@pytest.mark.parametrize("job", OF_A_STORE, ids=lambda job: job.name)
def test_a_job_that_never_ran_is_a_fault_once_the_store_is_older_than_it_may_be(
    job: Job, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line_of(store, job.name).ok  # nothing has happened in this store
    add_developer(store, "acme")
    clock(monkeypatch, job.max_age - 60)
    assert line_of(store, job.name).ok
    clock(monkeypatch, job.max_age + 60)
    line = line_of(store, job.name)
    assert (line.ok, line.text) == (False, "has never run")


def test_a_success_in_the_future_is_a_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_runs.recorded(store.db, "drill"):
        pass
    clock(monkeypatch, -86400)
    line = line_of(store, "drill")
    assert not line.ok and "is in the future: the clock was wrong then, or is now" in line.text


def test_a_job_that_is_expected_in_the_future_is_a_fault(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would never become overdue."""
    move(monkeypatch, 10 * 365 * 86400)
    job_runs.expect(store.db, ["drill"])
    move(monkeypatch, 0)
    line = line_of(store, "drill")
    assert not line.ok and "in the future" in line.text


def test_a_failure_stands_until_the_next_success(store: Store) -> None:
    with pytest.raises(OSError), job_runs.recorded(store.db, "cleanup"):
        raise OSError("the disk is full")
    line = line_of(store, "cleanup")
    assert not line.ok and "last success never" in line.text and "the disk is full" in line.text
    with job_runs.recorded(store.db, "cleanup"):
        pass
    assert line_of(store, "cleanup").ok


def test_a_store_that_may_not_be_read_still_gets_its_lines(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists

    def refused(path: Path) -> bool:
        if path.is_relative_to(store.settings.root):
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)
    line = line_of(store, "database")
    assert not line.ok and "Permission denied" in line.text
    assert line_of(store, "disk").ok


@pytest.fixture
def replicated(tmp_path: Path) -> Store:
    """A store whose Litestream copied everything and then stopped."""
    store = make_store(tmp_path / "store", litestream=True)
    add_developer(store, "acme")
    replicate(store.layout)
    return store


def test_an_idle_store_is_replicated_however_long_ago(replicated: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 86400)
    assert line_of(replicated, "replica").ok


@pytest.mark.parametrize("writes", [1, 2])
def test_a_write_that_the_replica_lacks_for_a_minute_is_a_fault(
    replicated: Store, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in replicated.layout.replica.rglob("*.ltx"):
        os.utime(path, (now() - 20, now() - 20))
    for number in range(writes):
        add_developer(replicated, f"late{number}", key=None)
    assert line_of(replicated, "replica").ok
    clock(monkeypatch, thresholds.REPLICA_LAG_SECONDS_MAX + 2)
    assert not line_of(replicated, "replica").ok


def test_a_busy_store_without_litestream_is_a_fault(replicated: Store) -> None:
    for path in replicated.layout.replica.rglob("*.ltx"):
        os.utime(path, (now() - 3600, now() - 3600))
    add_developer(replicated, "late", key=None)
    assert not line_of(replicated, "replica").ok
