"""Schema, pragmas and transactions."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from portal.store import database
from portal.store.errors import DatabaseUnusable
from portal.store.store import Store


def test_a_missing_database_is_never_created_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="mosis restore"):
        database.Database(tmp_path / "portal.db", litestream=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("version", "advice"), [(0, "mosis init"), (99, "newer")])
def test_another_schema_is_refused(store: Store, version: int, advice: str) -> None:
    store.db.read().execute(f"PRAGMA user_version = {version}")
    with pytest.raises(DatabaseUnusable, match=advice):
        database.Database(store.layout.database, litestream=True)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "portal.db"
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(DatabaseUnusable, match="mosis restore"):
        database.Database(path, litestream=True)


@pytest.mark.parametrize(("litestream", "pages"), [(True, 0), (False, database.AUTOCHECKPOINT_PAGES)])
def test_litestream_alone_checkpoints_when_it_is_there(store: Store, litestream: bool, pages: int) -> None:
    db = database.Database(store.layout.database, litestream=litestream).read()
    values = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous",
              "wal_autocheckpoint", "foreign_keys", "busy_timeout")}  # fmt: skip
    assert values == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": pages, "foreign_keys": 1,
                      "busy_timeout": 5000}  # fmt: skip


def test_migrating_twice_changes_nothing(store: Store) -> None:
    assert database.migrate(store.layout.database, litestream=False) is False


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.db.write() as tx:
        tx.execute("INSERT INTO developers VALUES ('a', 'A', 0)")
        raise RuntimeError
    assert store.db.read().execute("SELECT count(*) FROM developers").fetchone()[0] == 0
    with store.db.write() as tx:
        tx.execute("INSERT INTO developers VALUES ('a', 'A', 0)")


def test_every_thread_has_its_own_connection(store: Store) -> None:
    seen: list[sqlite3.Connection] = []
    threads = [threading.Thread(target=lambda: seen.append(store.db.read())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(connection) for connection in [*seen, store.db.read()]}) == 4


def test_an_older_database_migrates_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, steps = tmp_path / "portal.db", database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: steps[:1])
    assert database.migrate(path, litestream=False)
    with closing(database.connect(path, litestream=False)) as old:
        old.execute("INSERT INTO developers VALUES ('acme', 'Acme', 1)")
        old.execute("INSERT INTO apps (app_id, developer_id, name, description, created_at, updated_at)"
                    " VALUES ('org.example.a', 'acme', 'A', '', 1, 1)")  # fmt: skip
        old.execute("INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at)"
                    " VALUES ('v', 'org.example.a', 'acme', 'uploading', 1, 1)")  # fmt: skip
    monkeypatch.undo()
    with pytest.raises(DatabaseUnusable, match="schema 1"):
        database.Database(path, litestream=False)
    assert database.migrate(path, litestream=False)
    db = database.Database(path, litestream=False).read()
    assert [tuple(row) for row in db.execute("SELECT version_id, app_id, status FROM versions")] == [
        ("v", "org.example.a", "uploading")
    ]
    db.execute("INSERT INTO uploads (upload_id, developer_id, size, expires_at) VALUES ('v', 'acme', 1, 1)")
    db.execute("DELETE FROM versions")
    assert db.execute("SELECT count(*) FROM uploads").fetchone()[0] == 0
    db.close()
