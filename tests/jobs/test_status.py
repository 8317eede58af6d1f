"""What `mosis status` says of the jobs that a host should have run, and of a store that it may not read."""

from pathlib import Path

import pytest

from portal.jobs import status
from portal.store import job_runs
from portal.store.store import Store
from tests.support.portal import add_developer

LATER = status.OVERDUE_SECONDS + 60


def job(store: Store, name: str) -> status.Line:
    return {line.name: line for line in status.status(store.settings)}[name]


def clock(monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    at = status.now() + ahead
    monkeypatch.setattr(status, "now", lambda: at)


@pytest.mark.parametrize(("name", "days", "hours"), [("backup-database", 1, 2), ("cleanup", 1, 2), ("drill", 8, 0)])
def test_a_job_is_overdue_when_it_has_not_run_in_its_time(
    name: str, days: int, hours: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job_runs.recorded(store.db, name):
        pass
    assert job(store, name).ok
    clock(monkeypatch, (days * 24 + hours) * 3600 - 60)
    assert job(store, name).ok
    clock(monkeypatch, 120)  # after the former
    assert not job(store, name).ok


def test_a_job_that_never_ran_is_a_fault_once_the_store_is_a_day_old(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert job(store, "backup-database").ok
    add_developer(store, "acme")
    assert job(store, "backup-database").ok
    clock(monkeypatch, LATER)
    line = job(store, "backup-database")
    assert (line.ok, line.text) == (False, "never ran")


def test_a_failure_stands_until_the_next_success(store: Store) -> None:
    with pytest.raises(OSError), job_runs.recorded(store.db, "cleanup"):
        raise OSError("the disk is full")
    line = job(store, "cleanup")
    assert not line.ok and "last success never" in line.text and "the disk is full" in line.text
    with job_runs.recorded(store.db, "cleanup"):
        pass
    assert job(store, "cleanup").ok


def test_a_store_that_may_not_be_read_still_gets_its_lines(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists

    def refused(path: Path) -> bool:
        if path.is_relative_to(store.settings.root):
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)
    line = job(store, "database")
    assert not line.ok and "Permission denied" in line.text
    assert job(store, "disk").ok
