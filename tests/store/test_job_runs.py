"""Since when a store expects its jobs: since it has them, which may be later than its own beginning."""

import pytest

from portal.store import job_runs
from portal.store.store import Store
from tests.support.portal import Portal, add_developer


def since(store: Store, *jobs: str) -> dict[str, int]:
    return job_runs.expected_since(store.db.read(), jobs)


def at(monkeypatch: pytest.MonkeyPatch, second: int) -> None:
    monkeypatch.setattr(job_runs, "now", lambda: second)


def test_a_job_that_a_release_brings_is_expected_from_then_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 100)
    job_runs.expect(store.db, ["cleanup"])
    at(monkeypatch, 200)
    job_runs.expect(store.db, ["cleanup", "scrub"])
    assert since(store, "cleanup", "scrub") == {"cleanup": 100, "scrub": 200}


def test_a_job_that_was_switched_off_begins_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for second, jobs in ((100, ["drill"]), (200, []), (300, ["drill"])):
        at(monkeypatch, second)
        job_runs.expect(store.db, jobs)
    assert since(store, "drill") == {"drill": 300}


def test_without_a_note_the_store_s_first_change_counts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 100)
    assert since(store, "drill") == {"drill": 100}
    add_developer(store, "acme")
    assert since(store, "drill")["drill"] > 100


def test_a_failure_is_one_line(store: Store) -> None:
    """rsync writes one for every file that it could not copy, and `mosis status` one for every fact."""
    for text, noted in (
        ("rsync ended with 23: a\nb\nc\n", "rsync ended with 23: a (and 2 more lines, in the job's log)"),
        ("drive is away", "drive is away"),
        ("x" * 5000, "x" * job_runs.FAILURE_MAX),
        ("", "ValueError"),  # an empty text would read as no failure
    ):
        with pytest.raises(ValueError), job_runs.recorded(store.db, "drill"):
            raise ValueError(text)
        assert job_runs.every(store.db.read())["drill"].failure == noted


def test_a_portal_notes_what_its_host_should_run(portal: Portal) -> None:
    noted = job_runs.counters(portal.store.db.read(), job_runs.EXPECTED)
    assert noted.keys() == {"cleanup", "backup-database", "catalogue", "drill", "scrub"}
