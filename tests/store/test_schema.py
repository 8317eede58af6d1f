"""Migrations, and which programs may use a database that has seen them."""

from contextlib import closing
from pathlib import Path

import pytest

from portal.store import database, schema
from portal.store.errors import DatabaseUnusable
from portal.store.store import Store, open_store

EXPANDS = "CREATE TABLE notes (text TEXT) STRICT; INSERT INTO migrations VALUES ({0}, 3);"


def migrate(store: Store, *steps: str) -> int:
    """Migrate as a newer program does that has `steps` more; the number of the last."""
    own = schema.migrations()
    with pytest.MonkeyPatch.context() as newer:
        newer.setattr(schema, "migrations", lambda: own + [step.format(len(own) + 1) for step in steps])
        assert schema.migrate(store.layout.database, litestream=False)
        return len(schema.migrations())


def test_a_missing_database_is_never_created_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="mosis restore"):
        schema.require(tmp_path / "portal.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "portal.db"
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(DatabaseUnusable, match="mosis restore"):
        schema.require(path)


def test_where_the_disk_is_at_fault_no_restore_is_advised(store: Store) -> None:
    """A full disk has no room for SQLite's index of the WAL, and a restore would need more of it."""
    store.db.close()
    store.layout.database.with_name("portal.db-wal").mkdir()  # it cannot be created either
    with pytest.raises(DatabaseUnusable, match=r"Its disk has \d+ MiB free") as unusable:
        schema.require(store.layout.database)
    assert "restore" not in str(unusable.value)


def test_migrating_twice_changes_nothing(store: Store) -> None:
    assert schema.migrate(store.layout.database, litestream=False) is False


def test_an_older_database_is_for_its_migration_only(store: Store) -> None:
    store.db.read().execute("PRAGMA user_version = 1")
    assert schema.usable(store.layout.database) == schema.Schema(1, 1)
    with pytest.raises(DatabaseUnusable, match=r"schema 1, this program requires \d+: run `mosis setup`"):
        open_store(store.settings)


def test_what_a_newer_program_has_added_is_no_hindrance(store: Store) -> None:
    number = migrate(store, EXPANDS)
    assert schema.require(store.layout.database) == schema.Schema(number, 3)
    open_store(store.settings)
    assert schema.migrate(store.layout.database, litestream=False) is False


@pytest.mark.parametrize(
    "step", ["DROP TABLE counters;", "INSERT INTO migrations VALUES ({0}, {0});"], ids=["undeclared", "declared"]
)
def test_what_a_newer_program_has_taken_away_is_refused(store: Store, step: str) -> None:
    number = migrate(store, step)
    with pytest.raises(
        DatabaseUnusable, match=f"schema {number}, which requires a program of schema {number} or newer"
    ):
        open_store(store.settings)


def test_a_later_migration_does_not_take_back_what_one_before_it_said(store: Store) -> None:
    number = migrate(store, "INSERT INTO migrations VALUES ({0}, {0});")
    with closing(database.connect(store.layout.database, litestream=False)) as connection:
        connection.executescript(EXPANDS.format(number + 1) + f"PRAGMA user_version = {number + 1};")
    assert schema.found(store.layout.database) == schema.Schema(number + 1, number)


def test_an_older_database_migrates_with_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, steps = tmp_path / "portal.db", schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: steps[:1])
    assert schema.migrate(path, litestream=False)
    with closing(database.connect(path, litestream=False)) as old:
        old.execute("INSERT INTO developers VALUES ('acme', 'Acme', 1)")
        old.execute("INSERT INTO apps (app_id, developer_id, name, description, created_at, updated_at)"
                    " VALUES ('org.example.a', 'acme', 'A', '', 1, 1)")  # fmt: skip
        old.execute("INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at)"
                    " VALUES ('v', 'org.example.a', 'acme', 'uploading', 1, 1)")  # fmt: skip
    monkeypatch.undo()
    assert schema.migrate(path, litestream=False)
    with closing(database.connect(path, litestream=False)) as db:
        assert [tuple(row) for row in db.execute("SELECT version_id, app_id, status FROM versions")] == [
            ("v", "org.example.a", "uploading")
        ]
        db.execute("INSERT INTO uploads (upload_id, developer_id, size, expires_at) VALUES ('v', 'acme', 1, 1)")
        db.execute("DELETE FROM versions")
        assert db.execute("SELECT count(*) FROM uploads").fetchone()[0] == 0
