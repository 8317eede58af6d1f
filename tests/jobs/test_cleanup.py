"""Retention, exactly as the contract's table says."""

import os
from pathlib import Path

import pytest

from portal.jobs import cleanup
from portal.jobs.cleanup import Deletion
from portal.store import apps, audit, files, job_runs, retention, uploads, versions
from portal.store.clock import now
from portal.store.store import Store
from portal.store.versions import Version
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer, mosis

HOUR, DAY = 3600, 86400
DEVELOPER = audit.Actor("acme", "developer", None, "test")


@pytest.fixture
def app(store: Store) -> apps.App:
    add_developer(store, "acme")
    with store.db.write() as tx:
        return apps.add(tx, DEVELOPER, APP_ID, "Reader", "")


def upload(store: Store, app: apps.App, code: int, tmp_path: Path) -> Version:
    with uploads.receiving(store, app) as incoming:
        make_package(tmp_path / "p.mosis", version_code=code)
        sink = files.Sink(incoming.package, 1 << 20)
        sink.write((tmp_path / "p.mosis").read_bytes())
        return uploads.complete(store, DEVELOPER, incoming, sink.finish())


def move(store: Store, app: apps.App, code: int, *actions: str) -> None:
    for action in actions:
        with store.db.write() as tx:
            versions.change(tx, DEVELOPER, apps.get(tx, app.app_id), code, action)


def age(store: Store, column: str, seconds: int, where: str = "1") -> None:
    store.db.read().execute(f"UPDATE versions SET {column} = {now()} - {seconds} WHERE {where}")


def left(store: Store) -> list[int | None]:
    return [row[0] for row in store.db.read().execute("SELECT version_code FROM versions ORDER BY version_code")]


@pytest.mark.parametrize(
    ("actions", "seconds", "label"),
    [((), 30 * DAY, "draft"), (("submit", "reject"), 7 * DAY, "rejected")],
)
def test_drafts_and_rejected_versions_end_on_time(
    store: Store, app: apps.App, tmp_path: Path, actions: tuple[str, ...], seconds: int, label: str
) -> None:
    upload(store, app, 1, tmp_path)
    move(store, app, 1, *actions)
    age(store, "status_at", seconds - 60)
    assert cleanup.cleanup(store) == []
    age(store, "status_at", seconds)
    due = [Deletion(label, f"{APP_ID}/1")]
    assert cleanup.cleanup(store, dry_run=True) == due
    assert left(store) == [1]
    assert cleanup.cleanup(store) == due
    assert left(store) == []
    assert not list(store.layout.area("packages").rglob("*.mosis"))
    assert list(store.layout.area("temp").iterdir()) == []
    assert job_runs.counters(store.db.read(), "cleanup_deleted") == {label: 1}
    assert audit.first_fault(store.db.read()) is None


def test_the_current_version_stays_for_good_and_a_superseded_one_for_a_year(
    store: Store, app: apps.App, tmp_path: Path
) -> None:
    for code in (1, 2):
        upload(store, app, code, tmp_path)
        move(store, app, code, "submit", "publish")
    age(store, "status_at", 20 * 365 * DAY)
    age(store, "published_at", 20 * 365 * DAY)
    age(store, "superseded_at", 365 * DAY - 60, "version_code = 1")
    assert cleanup.cleanup(store) == []
    age(store, "superseded_at", 365 * DAY, "version_code = 1")
    assert cleanup.cleanup(store) == [Deletion("superseded", f"{APP_ID}/1")]
    assert left(store) == [2]
    assert store.layout.package("acme", APP_ID, 2).exists()


@pytest.mark.parametrize("actions", [("submit",), ("submit", "publish"), ("submit", "publish", "yank")])
def test_what_the_table_does_not_name_is_kept(
    store: Store, app: apps.App, tmp_path: Path, actions: tuple[str, ...]
) -> None:
    upload(store, app, 1, tmp_path)
    move(store, app, 1, *actions)
    age(store, "status_at", 20 * 365 * DAY)
    assert cleanup.cleanup(store) == []
    assert left(store) == [1]


def test_uploads_never_completed_and_failed_ones(store: Store, app: apps.App, tmp_path: Path) -> None:
    stale, fresh = uploads.new(store, app), uploads.new(store, app)
    for upload in (stale, fresh):
        uploads.begin(store, upload)
    age(store, "status_at", HOUR, f"version_id = '{stale.upload_id}'")
    assert cleanup.cleanup(store) == [Deletion("uploading", f"{APP_ID}/{stale.upload_id}")]
    assert [path.name for path in store.layout.area("temp").iterdir()] == [fresh.upload_id]
    store.db.read().execute("UPDATE versions SET status = 'failed'")
    age(store, "status_at", 24 * HOUR - 60)
    assert cleanup.cleanup(store) == []
    age(store, "status_at", 24 * HOUR)
    assert [deletion.label for deletion in cleanup.cleanup(store)] == ["failed"]


def test_what_a_crash_left_under_temp_goes_after_an_hour(store: Store) -> None:
    for name, seconds in (("old", HOUR), ("new", HOUR - 60), ("@eaDir", 10 * HOUR)):
        path = store.layout.staging(name)
        path.mkdir()
        os.utime(path, (now() - seconds, now() - seconds))
    assert cleanup.cleanup(store) == [Deletion("temp", "old")]
    assert sorted(path.name for path in store.layout.area("temp").iterdir()) == ["@eaDir", "new"]


def test_the_table_is_the_contract_s() -> None:
    kept = {rule.label: rule.seconds for rule in retention.RULES}
    assert kept == {"superseded": 365 * DAY, "draft": 30 * DAY, "rejected": 7 * DAY, "failed": DAY, "uploading": HOUR}


def test_nothing_to_do_is_silent(store: Store) -> None:
    for arguments in (("cleanup",), ("cleanup", "--dry-run")):
        ran = mosis(store, *arguments)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
