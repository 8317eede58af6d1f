"""Before a migration: a copy that stays, and a trial on a second copy that keeps a faulty step off the database."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from portal.recovery import copies, migration
from portal.recovery.errors import BackupError
from portal.settings import parse
from portal.store import files, schema
from portal.store.layout import Layout


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
