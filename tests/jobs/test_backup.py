"""Backups, and the restores that make them worth it."""

import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portal.jobs import backup
from portal.jobs.alone import alone
from portal.recovery import copies
from portal.recovery.drive import MARKER
from portal.recovery.errors import BackupError
from portal.store import files, job_runs
from portal.store.store import Store
from tests.support.patience import PATIENCE
from tests.support.portal import MOSIS, Publisher, environ, make_store, mosis


def downloads(publisher: Publisher) -> list[bytes]:
    return [
        publisher.client.get(f"/downloads/acme/{publisher.app_id}/{code}/package.mosis").raise_for_status().content
        for code in (1, 2, 3)
    ]


def destroy(store: Store) -> None:
    store.db.close()
    for area in ("data", "packages", "assets"):
        shutil.rmtree(store.layout.area(area))


def test_everything_comes_back_from_the_litestream_replica_and_the_drive(published: Publisher, tmp_path: Path) -> None:
    store, portal = published.portal.store, published.portal
    before = downloads(published)
    backup.packages(store)
    config = tmp_path / "litestream.yml"
    config.write_text(
        f"dbs:\n  - path: {store.layout.database}\n"
        f"    replica: {{type: file, path: {store.layout.replica}, sync-interval: 100ms}}\n"
    )
    litestream = subprocess.Popen(
        [Path(sys.executable).with_name("litestream"), "replicate", "-config", config], stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while not copies.has_replica(store.layout) and time.monotonic() < deadline:
            time.sleep(0.05)
        published.step(3, "submit").raise_for_status()  # after the snapshot: only the replica can know it
    finally:
        portal.stop()
        litestream.terminate()  # a clean stop syncs what is left
        litestream.wait(PATIENCE)
    destroy(store)
    refused = mosis(store, "setup")
    assert refused.returncode == 1
    assert "mosis restore" in refused.stderr
    ran = mosis(store, "restore")
    assert ran.returncode == 0, ran.stderr
    assert "restored from Litestream replica" in ran.stdout
    portal.start()
    assert downloads(published) == before
    states = published.client.get(f"/api/apps/{published.app_id}/versions").json()["versions"]
    assert [version["status"] for version in states] == ["in_review", "published", "published"]
    assert mosis(store, "restore").returncode == 1  # refused while the portal runs
    assert (store.layout.package_directory("acme", published.app_id, 1) / "manifest.json").exists()


def test_the_drive_alone_brings_the_store_back(published: Publisher) -> None:
    store, portal = published.portal.store, published.portal
    before = downloads(published)
    assert mosis(store, "backup", "database").returncode == 0
    assert mosis(store, "backup", "packages").returncode == 0
    portal.stop()
    destroy(store)
    shutil.rmtree(store.layout.area("backups"))
    shutil.rmtree(store.layout.area("temp"))
    assert "mosis restore" in mosis(store, "setup").stderr
    refused = mosis(store, "restore")
    assert refused.returncode == 1 and "add --adopt" in refused.stderr
    told = mosis(store, "restore", "--dry-run", "--adopt")
    assert "would be restored from snapshot" in told.stdout
    assert not store.layout.database.exists()
    ran = mosis(store, "restore", "--adopt")
    assert ran.returncode == 0, ran.stderr
    assert "on the drive" in ran.stdout
    portal.start()
    assert downloads(published) == before


def test_a_damaged_replica_gives_way_to_a_snapshot_and_a_damaged_package_to_its_copy(published: Publisher) -> None:
    store, portal = published.portal.store, published.portal
    before = downloads(published)
    backup.database(store)
    backup.packages(store)
    portal.stop()
    files.write_file(store.layout.replica / "ltx" / "0" / "0000000000000001-0000000000000001.ltx", b"damaged")
    package = store.layout.package("acme", published.app_id, 1)
    package.write_bytes(b"bit rot" + package.read_bytes()[7:])
    ran = mosis(store, "restore", "--replace-database")
    assert ran.returncode == 0, ran.stderr
    assert "restored from snapshot" in ran.stdout
    assert f"packages/acme/{published.app_id}/1/package.mosis restored" in ran.stdout
    assert list(store.layout.area("data").glob("before-restore-*/portal.db"))
    portal.start()
    assert downloads(published) == before


def test_what_is_in_no_backup_is_named(published: Publisher) -> None:
    store = published.portal.store
    published.portal.stop()
    store.layout.package("acme", published.app_id, 2).unlink()
    ran = mosis(store, "restore")
    assert ran.returncode == 1
    assert f"packages/acme/{published.app_id}/2/package.mosis MISSING" in ran.stdout


@pytest.mark.parametrize("fault", ["not mounted", "not marked", "outside the mount"])
def test_without_the_right_drive_the_backup_fails_and_writes_nothing(tmp_path: Path, drive: Path, fault: str) -> None:
    mount, directory = drive.parent, drive
    if fault == "not mounted":
        mount = directory = tmp_path / "volumeUSB1"
        directory.mkdir()
        (directory / MARKER).touch()
    elif fault == "not marked":
        (drive / MARKER).unlink()
    else:
        directory = tmp_path / "elsewhere"
        directory.mkdir()
    store = make_store(tmp_path / "store", backup={"mount": str(mount), "directory": str(directory)})
    with store.db.write() as tx:
        tx.execute("INSERT INTO job_runs (job, success_at) VALUES ('backup-packages', 1234)")
    ran = mosis(store, "backup", "packages")
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert [path.name for path in directory.iterdir()] == ([MARKER] if fault == "not mounted" else [])
    run = job_runs.every(store.db.read())["backup-packages"]
    assert (run.success_at, run.failure) == (1234, ran.stderr.strip())


def test_the_copy_leaves_out_what_nobody_uploaded(saved: Store, drive: Path) -> None:
    for name in ("acme/app/1/package.mosis", "acme/@eaDir/x", "lost+found/x", "#recycle/y", "acme/app/1/.hidden"):
        files.write_file(saved.layout.area("packages") / name, b"x")
    tree = backup.packages(saved).generation
    found = sorted(str(path.relative_to(tree)) for path in (tree / "packages").rglob("*") if path.is_file())
    assert found == ["packages/acme/app/1/package.mosis"]


def test_one_backup_at_a_time(saved: Store) -> None:
    with alone(saved, "backup-packages"), pytest.raises(BackupError, match="running already"):
        backup.packages(saved)


def test_snapshots_are_whole_and_few(saved: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "SNAPSHOTS_KEPT", 2)
    for day in (1, 2, 3):
        files.write_file(saved.layout.snapshots / f"portal-2020010{day}T000000Z.db", b"old")
    made = backup.database(saved)
    assert copies.snapshots(saved.layout.snapshots)[0] == made
    assert len(copies.snapshots(saved.layout.snapshots)) == 2
    with sqlite3.connect(made) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_init_starts_no_empty_database_over_a_lost_one(saved: Store) -> None:
    backup.database(saved)
    saved.db.close()
    shutil.rmtree(saved.layout.area("data"))
    ran = subprocess.run([MOSIS, "setup"], env=environ(saved), capture_output=True, text=True)
    assert (ran.returncode, "mosis restore" in ran.stderr) == (1, True)
