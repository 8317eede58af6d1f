"""Before a migration: a copy that stays, and a trial on a second copy that keeps a faulty step off the database."""

import shutil
import sqlite3
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

from portal.recovery import copies, migration
from portal.recovery.errors import BackupError
from portal.settings import parse
from portal.store import apps, files, leftovers, schema, search
from portal.store.clock import now
from portal.store.layout import Layout
from portal.store.store import open_store
from tests.store.test_every_call import chosen
from tests.support import injection
from tests.support.portal import make_store
from tests.support.walk import at


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A store of the first schema, whose program knows two."""
    steps = ["CREATE TABLE kept (value TEXT); INSERT INTO kept VALUES ('before');"]
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    layout = Layout(tmp_path)
    files.make_directory(layout.area("data"))
    schema.migrate(layout.database, litestream=False)
    steps.append("UPDATE kept SET value = 'after';")
    return layout


def schema_and_value(path: Path) -> tuple[int, str]:
    with closing(sqlite3.connect(path)) as connection:
        (schema,), (value,) = connection.execute("PRAGMA user_version").fetchone(), connection.execute(
            "SELECT value FROM kept"
        ).fetchone()  # fmt: skip
    return schema, value


def test_the_copy_is_the_database_before(layout: Layout) -> None:
    copy = migration.copy_before(layout, 2)
    assert schema_and_value(copy) == schema_and_value(layout.database) == (1, "before")
    assert [path.name for path in layout.snapshots.iterdir()] == [copy.name]
    assert copy not in copies.snapshots(layout.snapshots)  # no nightly job counts or deletes it


def test_a_step_that_fails_never_touches_the_database(layout: Layout) -> None:
    schema.migrations()[1] = "UPDATE kept SET value = 'after'; INSERT INTO absent VALUES (1);"
    with pytest.raises(BackupError, match="schema 2 fails on a copy"):
        migration.copy_before(layout, 2)
    assert schema_and_value(layout.database) == (1, "before")
    assert list(layout.snapshots.iterdir()) == []


def test_of_two_that_migrate_at_once_one_does(layout: Layout) -> None:
    settings, lines = parse({"root": str(layout.root), "litestream": False}), []
    both = [threading.Thread(target=migration.migrate, args=(settings, lines.append)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(lines) == 2
    assert schema_and_value(layout.database) == (2, "after")
    assert [schema_and_value(copy) for copy in layout.snapshots.iterdir()] == [(1, "before")]


SEARCHED_SINCE = 14  # the migration that made the index of the search


@pytest.fixture
def unsearched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a store before the index of the search, with two published apps."""
    injection.require_strace(tmp_path)
    steps = schema.migrations()
    with monkeypatch.context() as older:
        older.setattr(schema, "migrations", lambda: steps[: SEARCHED_SINCE - 1])
        store = make_store(tmp_path / "old")
        for app_id in ("org.example.one", "org.example.two"):
            store.db.read().executescript(PUBLISHED.format(app_id))
        store.db.close()
    return store.layout.root


PUBLISHED = """
    INSERT OR IGNORE INTO developers (developer_id, name, created_at) VALUES ('acme', 'Acme', 1);
    INSERT INTO apps (app_id, developer_id, name, description, published_code, created_at, updated_at)
        VALUES ('{0}', 'acme', 'App', '', 1, 1, 1);
    INSERT INTO versions (version_id, app_id, developer_id, status, status_at, created_at, version_code, version_name,
        size, sha256, key_id, signature, manifest)
        VALUES ('{0}', '{0}', 'acme', 'published', 1, 1, 1, '1', 1, '', '', '', '{{"name": "Reader"}}');
"""


def test_killed_before_a_call_it_is_finished_by_the_next_start(
    unsearched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schema, index and snapshot; what is left of the snapshot and of its trial is removed."""
    settings, logs = parse({"root": str(tmp_path / "store"), "litestream": False}), tmp_path / "logs"
    monkeypatch.setattr(search, "BATCH", 1)
    logs.mkdir()

    def copy() -> None:
        shutil.rmtree(settings.root, ignore_errors=True)
        subprocess.run(["cp", "-a", unsearched, settings.root], check=True)

    def start() -> None:
        migration.migrate(settings, lambda _: None)
        with closing(open_store(settings).db) as db:
            search.catch_up(db)

    copy()
    for point in chosen(injection.points(lambda: start, logs)):
        copy()
        with at(point):
            injection.run(lambda: start, logs / "log", point.killed())
            start()
            store, failed = open_store(settings), list[str]()
            with closing(store.db):
                later = now() + 1 + leftovers.PARTIAL_SECONDS
                leftovers.sweep(store, leftovers.found(store, later), lambda _: None, failed.append)
                found = apps.published(store.db.read(), query="reader", limit=9)
            assert len(found) == 2 and failed == []
            assert [path.name for path in store.layout.snapshots.glob(".*")] == []
