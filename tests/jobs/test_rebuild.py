"""A database whose every copy is lost is made again from the records beside the packages."""

import json
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import httpx
import pytest

from portal.jobs import backup, cleanup, rebuild
from portal.recovery import copies, lineage, ownership, records
from portal.recovery.errors import BackupError
from portal.store import audit, deletion, transfers
from portal.store.claims import claim
from portal.store.layout import Layout
from portal.store.locks import lock
from portal.store.store import Store, open_store
from tests.http.test_app_keys import key_id, recover, register, rotate
from tests.http.test_images import png
from tests.support.many import fill, flip
from tests.support.patience import PATIENCE
from tests.support.portal import Publisher, add_developer, mosis

TABLES = ("developers", "keys", "tombstones", "apps", "app_keys", "versions", "assets")


def rows(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """What a rebuild must bring back, row for row."""
    db = store.db.read()
    kept = dict.fromkeys(TABLES, "") | {"versions": "WHERE status NOT IN ('uploading', 'failed')"}
    return {
        table: sorted((tuple(row) for row in db.execute(f"SELECT * FROM {table} {where}")), key=repr)
        for table, where in kept.items()
    }


def lose_the_database(store: Store) -> None:
    store.db.close()
    for path in store.layout.area("data").glob("*portal.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(store.layout.area("backups"))


@pytest.fixture
def lived(published: Publisher) -> Publisher:
    """A portal whose store has gone through every kind of change."""
    store, client = published.portal.store, published.client
    app = f"/api/apps/{published.app_id}"
    client.post(f"{app}/icon", files={"icon": png(256, 256)}).raise_for_status()
    for _ in range(2):
        client.post(f"{app}/screenshots", files={"screenshot": png(1280, 720)}).raise_for_status()
    client.delete(f"{app}/screenshots/1").raise_for_status()
    published.approve_images()
    new = register(published)
    rotate(published, published.key, new, 5).raise_for_status()
    published.publish(5, key=new)
    published.upload(published.package(6, key=new)).raise_for_status()
    published.step(6, "submit").raise_for_status()
    published.step(6, "reject", reason="Its icon is another app's.").raise_for_status()
    published.step(1, "yank", reason="It loses data.").raise_for_status()
    recover(published, published.key).raise_for_status()
    published.upload(published.package(7, key=published.key))  # fails: it is not the app's key
    client.post("/api/apps", json={"app_id": "org.example.other", "name": "Größe"}).raise_for_status()
    extra = register(published)
    client.delete(f"/api/developers/{published.developer_id}/keys/{key_id(extra)}").raise_for_status()
    add_developer(store, "nobody", key=None)
    transfers.transfer(store, audit.OPERATOR, "org.example.other", "nobody", "Left.")
    client.post("/api/apps", json={"app_id": "org.example.gone", "name": "Gone"}).raise_for_status()
    deletion.delete_app(store, audit.OPERATOR, "org.example.gone", "By order of a court.")
    return published


def test_every_row_comes_back_and_the_same_store_is_served(lived: Publisher) -> None:
    store = lived.portal.store
    cleanup.cleanup(store)  # as every hour
    before, public = rows(store), httpx.get(f"{lived.portal.url}/api/store/apps/{lived.app_id}").json()
    assert all(before.values())
    lived.portal.stop()
    lose_the_database(store)

    ran = mosis(store, "rebuild")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "No token is valid" in ran.stdout
    assert rows(open_store(store.settings)) == before
    assert store.db.read().execute("SELECT count(*) FROM tokens").fetchone()[0] == 0
    actions = [entry.action for entry in audit.entries(store.db.read())]
    assert actions == ["store.restore", "store.rebuild"] and audit.first_fault(store.db.read()) is None
    lived.portal.start()
    assert httpx.get(f"{lived.portal.url}/api/store/apps/{lived.app_id}").json() == public
    [found] = httpx.get(f"{lived.portal.url}/api/store/apps", params={"q": "App"}).json()["apps"]
    assert found["app_id"] == lived.app_id
    package = httpx.get(lived.portal.url + public["download_url"])
    assert package.status_code == 200 and len(package.content) == public["size"]


@pytest.fixture
def filled(saved: Store) -> Store:
    fill(saved, 20, versions_each=5)
    records.catch_up(saved)
    return saved


def test_records_are_written_only_for_what_changed(filled: Store) -> None:
    assert records.catch_up(filled) == 0
    add_developer(filled, "other", key=None)
    assert records.catch_up(filled) == 1
    assert records.catch_up(filled) == 0
    (filled.layout.area("data") / "records.json").unlink()
    assert records.catch_up(filled) == 0, "unchanged records are not written again"


def test_a_portal_that_stops_waits_for_who_is_writing(filled: Store) -> None:
    add_developer(filled, "other", key=None)
    with (filled.layout.area("data") / "records.lock").open("w") as held:
        assert lock(held)
        assert records.catch_up(filled) == 0
        threading.Timer(0.2, held.close).start()
        assert records.catch_up(filled, wait=60) == 1


def test_no_upload_waits_while_records_are_read(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app with thousands of versions has as many records, on a disk that has to seek for each."""
    records.catch_up(filled)
    [app_id, *_] = (row[0] for row in filled.db.read().execute("SELECT app_id FROM apps"))
    with filled.db.write() as tx:
        tx.execute("UPDATE versions SET status = 'yanked' WHERE app_id = ? AND version_code = 2", (app_id,))
        audit.append(tx, audit.OPERATOR, "version.yank", f"{app_id}/2")
    read_bytes, free = Path.read_bytes, list[bool]()

    def reading(path: Path) -> bytes:
        if path.name == records.VERSION:
            with claim(filled.layout.claims, f"packages of {app_id}") as claimed:
                free.append(claimed)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    assert records.catch_up(filled) == 1
    assert free.count(False) == 1 and len(free) > 2, "all but the one that is written"


def test_a_record_that_cannot_be_written_keeps_no_other(filled: Store) -> None:
    add_developer(filled, "aaron", key=None)
    add_developer(filled, "zoe", key=None)
    in_the_way = filled.layout.area("packages") / "aaron"
    in_the_way.touch()
    records.forget(filled.layout)
    for _ in range(2):
        with pytest.raises(FileExistsError):
            records.catch_up(filled)
    assert (in_the_way.with_name("zoe") / records.DEVELOPER).exists()
    in_the_way.unlink()
    assert records.catch_up(filled) == 1
    assert (in_the_way / records.DEVELOPER).exists()


def test_after_a_power_cut_records_that_were_lost_are_written_again(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = filled.layout.area("packages") / "acme" / "org.example.app3" / "2" / records.VERSION
    record.write_bytes(b"")
    assert records.catch_up(filled) == 0
    (tmp_path / "boot_id").write_text("another")
    monkeypatch.setattr(records, "BOOT", tmp_path / "boot_id")
    assert records.catch_up(filled) == 1
    assert records.from_json(record.read_bytes())["versions"]


def test_a_portal_that_stops_has_written_its_records(published: Publisher) -> None:
    published.upload(published.package(4)).raise_for_status()
    published.portal.stop()
    directory = published.portal.store.layout.package_directory("acme", published.app_id, 4)
    assert records.from_json((directory / records.VERSION).read_bytes())["versions"]


def test_a_portal_writes_records_by_itself(published: Publisher) -> None:
    path = published.portal.store.layout.package_directory("acme", published.app_id, 3) / records.VERSION
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert records.from_json(path.read_bytes())["versions"][0]["status"] == "draft"


def test_a_version_that_expires_has_no_other_record_written(filled: Store) -> None:
    with filled.db.write() as tx:
        for number in range(3 * records.CHANGES):
            audit.append(tx, audit.OPERATOR, "version.expire", f"org.example.app3/{number}")
        audit.append(tx, audit.OPERATOR, "version.publish", "org.example.app4/1")
    (filled.layout.area("packages") / "acme" / "org.example.app3" / records.APP).unlink()
    (filled.layout.area("packages") / "acme" / "org.example.app4" / records.APP).unlink()
    assert records.catch_up(filled) == 1
    assert records.catch_up(filled) == 0


def test_the_first_records_of_very_many_apps_are_left_to_the_portal(filled: Store) -> None:
    shutil.rmtree(filled.layout.area("packages"))
    (filled.layout.area("data") / "records.json").unlink()
    assert records.catch_up(filled, apps_max=19) == 0
    assert records.catch_up(filled) > 20


def test_a_log_that_was_replaced_has_all_records_written_anew(filled: Store) -> None:
    path = filled.layout.area("packages") / "acme" / records.DEVELOPER
    path.write_text("{}")
    note = filled.layout.area("data") / "records.json"
    note.write_text(json.dumps({"seq": 1, "hash": "of another log"}))
    assert records.catch_up(filled) == 1
    assert records.from_json(path.read_bytes())["developers"]


def test_a_damaged_record_keeps_no_other_one_out(filled: Store) -> None:
    before, packages = rows(filled), filled.layout.area("packages") / "acme"
    damaged = packages / "org.example.app3" / "2" / records.VERSION
    flip(damaged, 900)
    (packages / "org.example.app4" / records.APP).unlink()
    later = packages / "org.example.app5" / "1" / records.VERSION
    later.write_text(later.read_text().replace('"format": 1', '"format": 2'))
    shutil.copy(packages / "org.example.app6" / records.APP, packages / "org.example.app7" / records.APP)
    lose_the_database(filled)

    report = rebuild.rebuild(filled.settings)

    text = "\n".join(report.left_out)
    assert f"{damaged} is left out: is" in text and f"{later} is left out: has format 2" in text
    assert "org.example.app7/app.json is left out: it belongs to another directory." in text
    assert "10 rows of versions are left out: there is no record of org.example.app4, org.example.app7 in apps." in text
    after = rows(open_store(filled.settings))
    assert set(after["versions"]) < set(before["versions"]) and len(after["versions"]) == 100 - 2 - 5 - 5
    assert report.unnamed == 12 and report.set_aside
    for code in range(1, 6):
        assert (report.set_aside / "packages/acme/org.example.app4" / str(code) / "package.mosis").exists()


def test_a_restore_comes_first(filled: Store) -> None:
    with pytest.raises(BackupError, match="--replace-database"):
        rebuild.rebuild(filled.settings)
    backup.database(filled)
    filled.db.close()
    Layout(filled.settings.root).database.unlink()
    with pytest.raises(BackupError, match="run `mosis restore`"):
        rebuild.rebuild(filled.settings)
    assert sum(rebuild.rebuild(filled.settings, ignore_copies=True, dry_run=True).rows.values()) == 20 * 7 + 1
    assert not Layout(filled.settings.root).database.exists()


def test_a_rebuilt_store_is_newer_than_the_copies_it_ignored(filled: Store) -> None:
    backup.database(filled)
    filled.db.close()
    rebuild.rebuild(filled.settings, ignore_copies=True, replace_database=True)
    again = open_store(filled.settings)
    backup.database(again)
    place = again.layout.staging("place")
    place.mkdir()
    newest = lineage.find(copies.sources(again.settings), place).copies[0]
    with sqlite3.connect(newest.path) as db:
        assert db.execute("SELECT count(*) FROM audit WHERE action = 'store.rebuild'").fetchone()[0] == 1


def test_a_rebuilt_store_keeps_its_drive(filled: Store, drive: Path, tmp_path: Path) -> None:
    """Even if it was away meanwhile, and after a second rebuild."""
    backup.packages(filled)
    rebuilt, away = filled, tmp_path / "away"
    for _ in range(2):
        rebuilt.db.close()
        shutil.move(drive / ".mosis-backup", away)
        rebuild.rebuild(filled.settings, replace_database=True, ignore_copies=True)
        shutil.move(away, drive / ".mosis-backup")
        rebuilt = open_store(filled.settings)
        ownership.require(rebuilt, drive)
    assert backup.packages(rebuilt).generation.exists()


def test_a_store_without_records_says_so(saved: Store) -> None:
    lose_the_database(saved)
    with pytest.raises(BackupError, match="no records"):
        rebuild.rebuild(saved.settings)
