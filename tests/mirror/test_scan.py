"""A scan reads only what changed, and notes it in one transaction."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from portal.mirror import scan as scanning
from portal.mirror import wanted
from portal.mirror.record import Pending, Record
from portal.mirror.scan import scan
from portal.store import apps, asset_rows, assets, audit, clock, deletion, retention, transfers, versions
from portal.store.store import Store
from tests.support.many import OWNER, fill
from tests.support.portal import add_developer

APP_IDS = {f"org.example.app{number}" for number in range(3)}


@pytest.fixture
def record(store: Store) -> Iterator[Record]:
    fill(store, len(APP_IDS), 2)
    with closing(Record.open(store.layout)) as opened:
        yield opened


def copied(store: Store, record: Record) -> None:
    """Note that everything has been copied."""
    scan(store.db.read(), store.layout, record)
    for app_id in APP_IDS:
        for one in wanted.of_app(store.db.read(), store.layout, app_id).values():
            record.have(one.key, one.app_id, one.sha256, "etag")
    assert record.pending() == Pending(0, 0)


def looked_at(store: Store, record: Record, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The apps that a scan reads."""
    seen: set[str] = set()
    read = wanted.of_app

    def noting(db: sqlite3.Connection, layout: object, app_id: str) -> dict[str, wanted.Wanted]:
        seen.add(app_id)
        return read(db, layout, app_id)

    monkeypatch.setattr(wanted, "of_app", noting)
    scan(store.db.read(), store.layout, record)
    monkeypatch.undo()
    return seen & APP_IDS


def test_only_apps_that_changed_are_read(store: Store, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(store, record, monkeypatch) == APP_IDS
    assert looked_at(store, record, monkeypatch) == set()
    assets.add_screenshot(store, OWNER, apps.get(store.db.read(), "org.example.app1"), b"new")
    assert looked_at(store, record, monkeypatch) == {"org.example.app1"}
    record.head = audit.Head(2, "0" * 64)  # of another log, as after a restore
    assert looked_at(store, record, monkeypatch) == APP_IDS


def test_every_change_of_what_devices_may_download_is_seen(store: Store, record: Record) -> None:
    """Each way in which a published file appears or goes has its row in the log."""
    copied(store, record)
    app = apps.get(store.db.read(), "org.example.app0")

    def at_once(expected: int) -> None:
        number = scanning.pending(store.db.read(), store.layout).number
        scan(store.db.read(), store.layout, record)
        assert number == record.pending().number == expected

    def due() -> list[str]:
        copied(store, record)
        record.unnamed(clock.now())
        return [one.key for one in record.unwanted(clock.now())]

    assets.put_icon(store, OWNER, app, {32: b"small", 64: b"large"})
    at_once(2)
    assets.put_icon(store, OWNER, app, {32: b"other", 64: b"large"})
    at_once(2)
    assets.delete_screenshot(store, OWNER, app, 1)
    at_once(2)
    assert len(due()) == 1
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET superseded_at = 0 WHERE app_id = ? AND version_code = 1", (app.app_id,))
        [version_id] = tx.execute(
            "SELECT version_id FROM versions WHERE app_id = ? AND version_code = 1", (app.app_id,)
        ).fetchone()
        assert retention.delete(tx, retention.SUPERSEDED, clock.now(), version_id)
        audit.append(tx, audit.OPERATOR, "version.expire", f"{app.app_id}/1", rule=retention.SUPERSEDED.label)
    at_once(0)
    assert len(due()) == 3
    with store.db.write() as tx:
        versions.change(tx, OWNER, app, 2, "yank", "broken")
    at_once(0)  # without a published version nothing of the app is for devices
    assert len(due()) == 7


def test_what_is_transferred_stays_and_what_is_deleted_for_good_goes(store: Store, record: Record) -> None:
    def due() -> list[str]:
        scan(store.db.read(), store.layout, record)
        record.unnamed(clock.now())
        return [one.key for one in record.unwanted(clock.now())]

    copied(store, record)
    app = apps.get(store.db.read(), "org.example.app0")
    add_developer(store, "buyer", key=None)
    transfers.transfer(store, audit.OPERATOR, app.app_id, "buyer", "Sold.")
    assert due() == []
    assert record.pending() == Pending(0, 0), "the addresses of packages stay"
    deletion.delete_version(store, audit.OPERATOR, app.app_id, 2, "By order of a court.")
    assert {key.rpartition("/")[0] for key in due()} == {f"packages/acme/{app.app_id}/2"}
    deletion.delete_app(store, audit.OPERATOR, "org.example.app1", "By order of a court.")
    assert {key for key in due() if "app1" in key} == record.objects("org.example.app1").keys()


def test_what_is_wanted_again_is_not_deleted(store: Store, record: Record) -> None:
    copied(store, record)
    app = apps.get(store.db.read(), "org.example.app0")
    [shot] = asset_rows.of_app(store.db.read(), app.app_id)
    assets.delete_screenshot(store, OWNER, app, 1)
    scan(store.db.read(), store.layout, record)
    record.unnamed(clock.now())
    assert len(record.unwanted(clock.now())) == 1
    again = assets.add_screenshot(store, OWNER, app, app.app_id.encode() * 50)
    assert again.sha256 == shot.sha256
    scan(store.db.read(), store.layout, record)
    assert record.unwanted(clock.now()) == [] and record.pending().number == 0


def test_an_object_is_as_old_as_its_oldest_change(store: Store, record: Record) -> None:
    copied(store, record)
    began = clock.now()
    assets.add_screenshot(store, OWNER, apps.get(store.db.read(), "org.example.app1"), b"new")
    first = scanning.pending(store.db.read(), store.layout)
    assert first.number == 1 and began <= first.since <= clock.now()
    scan(store.db.read(), store.layout, record)
    with store.db.write() as tx:
        audit.append(tx, OWNER, "test", "org.example.app1")
    scan(store.db.read(), store.layout, record)
    assert record.pending() == first == scanning.pending(store.db.read(), store.layout)
