"""A copy of the database that somebody changed writes nothing outside the store, and no copy is trusted by its name."""

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from portal.jobs import backup, restore
from portal.recovery import copies, foreign, lineage, mending, records
from portal.recovery.errors import BackupError
from portal.store import apps, assets, audit, files, schema, tokens
from portal.store.known_files import NamedFile, Position
from portal.store.layout import Layout, LeadsOutside
from portal.store.store import Store, open_store
from tests.support.many import OWNER, fill
from tests.support.portal import add_developer, mosis
from tests.support.unprivileged import unreadable

OUT = "../../escaped"
BYTES = b"#!/bin/sh\n"
PATHS = [
    ("developers", "developer_id", OUT), ("apps", "app_id", OUT), ("versions", "app_id", OUT),
    ("versions", "developer_id", "/etc"), ("versions", "version_id", ".."), ("versions", "sha256", "/../../x"),
    ("versions", "version_code", -1), ("assets", "app_id", OUT), ("assets", "name", "../x.png"),
    ("assets", "sha256", "../../../../../x"), ("proposed_assets", "name", "proposed/../../x.png"),
    ("proposed_assets", "sha256", "x"), ("uploads", "upload_id", OUT), ("tombstones", "app_id", OUT),
    ("apps", "app_id", ""),
]  # fmt: skip


def tampered(path: Path, script: str, *values: object) -> None:
    """A change by somebody who has the file, and no use for foreign keys."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(script, values)
        db.commit()


def lost(store: Store) -> Path:
    """The only copy of a store that is gone."""
    fill(store, 1, versions_each=1)
    copy = backup.database(store)
    store.db.close()
    for path in store.layout.area("data").glob("portal.db*"):
        path.unlink()
    return copy


def test_every_column_that_names_a_path_is_checked(tmp_path: Path) -> None:
    """Also those of a table that is added later: a column with one of these names is found by its name."""
    path = tmp_path / "new.db"
    schema.migrate(path, litestream=False)
    with closing(sqlite3.connect(path)) as db:
        found = {(table, each) for table in foreign.tables(db, foreign.STORED) for each in foreign.columns(db, table)}
        foreign.require_harmless(db)
    assert {(table, column) for table, column, _ in PATHS} <= found


@pytest.mark.parametrize(("table", "column", "value"), PATHS)
def test_a_name_that_no_release_writes_is_refused(tmp_path: Path, table: str, column: str, value: object) -> None:
    path = tmp_path / "copy.db"
    schema.migrate(path, litestream=False)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {row_of(db, table)}")
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))
        with pytest.raises(BackupError, match=f"its table {table} has the {column} '"):
            foreign.require_harmless(db)


def row_of(db: sqlite3.Connection, table: str) -> str:
    """An INSERT with a harmless value in every column."""
    harmless = {"app_id": "org.example.app", "developer_id": "acme", "sha256": "0" * 64, "name": "icon-32.png"}
    of_type = {"TEXT": "'x'", "INTEGER": "1", "BLOB": "x''"}
    columns = db.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
    values = [f"'{harmless[name]}'" if name in harmless else of_type[kind] for name, kind in columns]
    return f"INSERT INTO {table} VALUES ({', '.join(values)})"


def test_what_the_store_itself_writes_is_harmless(store: Store) -> None:
    """Also changes of images that wait for a review, one of which deletes a screenshot."""
    fill(store, 1, versions_each=1)
    add_developer(store, "second", None, "reviewer")
    with store.db.write() as tx:
        tx.execute("UPDATE apps SET published_code = 1")
    [app] = apps.of_developer(store.db.read(), "acme")
    assets.put_icon(store, OWNER, app, dict.fromkeys((32, 64, 128), b"png"))
    assets.delete_screenshot(store, OWNER, app, 1)
    waiting = store.db.read().execute("SELECT sha256 FROM proposed_assets").fetchall()
    assert len(waiting) == 4 and "" in [row["sha256"] for row in waiting]
    with closing(sqlite3.connect(backup.database(store))) as db:
        foreign.require_harmless(db)


def test_a_program_in_a_copy_is_refused(store: Store) -> None:
    copy = backup.database(store)
    tampered(copy, "CREATE TRIGGER later AFTER INSERT ON audit BEGIN DELETE FROM tokens; END")
    with closing(sqlite3.connect(copy)) as db, pytest.raises(BackupError, match="has the trigger 'later'"):
        foreign.require_harmless(db)


IMAGE = f"'{OUT}', 'icon-32.png', 1, '{'0' * 64}', 1"
DISGUISED = {
    "a column in capitals": (
        f"ALTER TABLE assets RENAME COLUMN app_id TO APP_ID; INSERT INTO assets VALUES ({IMAGE})", "has the APP_ID"),
    "a table in capitals": (
        f"ALTER TABLE assets RENAME TO x; ALTER TABLE x RENAME TO ASSETS; INSERT INTO assets VALUES ({IMAGE})",
        "has the app_id"),
    "a computed column": (f"ALTER TABLE apps ADD COLUMN x TEXT GENERATED ALWAYS AS ('{OUT}')", "computes the column"),
    "a virtual table": (
        "DROP TABLE assets; CREATE VIRTUAL TABLE assets USING fts5 (app_id, name)", "has the virtual table 'assets'"),
    "a table in place of the list of tables": (
        f"CREATE TABLE pragma_table_list (schema, name, type); INSERT INTO assets VALUES ({IMAGE})", "has the app_id"),
    "a log that can be changed": ("DROP TRIGGER audit_is_append_only_update", "lacks the trigger 'audit_is_"),
}  # fmt: skip


@pytest.mark.parametrize(("script", "reason"), DISGUISED.values(), ids=DISGUISED.keys())
def test_a_schema_that_no_release_makes_hides_nothing(tmp_path: Path, script: str, reason: str) -> None:
    """SQLite compares names without case, and answers from whatever has the name of a table."""
    path = tmp_path / "copy.db"
    schema.migrate(path, litestream=False)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA foreign_keys = OFF; {script}")
        with pytest.raises(BackupError, match=reason):
            foreign.require_harmless(db)


def test_a_copy_is_read_before_a_migration_that_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That one may be broken, which the trial on a copy then says."""
    path = tmp_path / "copy.db"
    schema.migrate(path, litestream=False)
    steps = [*schema.migrations(), "DELETE FROM absent"]
    monkeypatch.setattr(schema, "migrations", lambda: steps)
    foreign.opened(path).close()


def test_a_snapshot_of_an_older_schema_has_its_own_programs(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as db:
        for number, sql in enumerate(schema.migrations()[:3], start=1):
            db.executescript(f"{sql}\nPRAGMA user_version = {number};")
        foreign.require_harmless(db)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TRIGGER later AFTER INSERT ON apps BEGIN DELETE FROM downloads; END",
        "DROP TRIGGER audit_is_append_only_update",
    ],
)
def test_a_copy_of_a_newer_schema_with_other_programs_is_named_as_such(store: Store, script: str) -> None:
    """A rollback meets them. Its programs cannot be judged by this release, so it is refused all the same."""
    number = len(schema.migrations()) + 1
    copy = lost(store)
    with closing(sqlite3.connect(copy)) as db:
        db.executescript(f"INSERT INTO migrations VALUES ({number}, 3); PRAGMA user_version = {number}; {script}")
    with pytest.raises(BackupError, match=rf"schema {number}, this release has {number - 1}: restore it with the rel"):
        restore.restore(store.settings)


def test_a_copy_of_a_newer_schema_with_more_tables_can_be_restored(store: Store) -> None:
    number = len(schema.migrations()) + 1
    copy = lost(store)
    with closing(sqlite3.connect(copy)) as db:
        db.executescript(
            f"INSERT INTO migrations VALUES ({number}, 3); PRAGMA user_version = {number};"
            "CREATE TABLE later (text TEXT)"
        )
    assert restore.restore(store.settings).database.notes == ()


def test_a_restore_writes_nothing_outside_the_store(store: Store, tmp_path: Path) -> None:
    """The drive may have passed through other hands: this copy names a package below another directory."""
    copy = lost(store)
    older = copy.with_name("portal-20200101T000000Z.db")
    files.write_file(older, copy.read_bytes())
    tampered(copy, "UPDATE versions SET app_id = ?, sha256 = ?", OUT, hashlib.sha256(BYTES).hexdigest())
    tampered(copy, "UPDATE apps SET app_id = ?", OUT)
    package = store.layout.area("data") / "before-restore-1/packages/acme" / OUT / "1/package.mosis"
    for directory in (package.parent, store.layout.area("data") / "before-restore-1/packages/acme"):
        files.make_directory(directory)
    package.write_bytes(BYTES)
    before = set(tmp_path.rglob("*"))
    report = restore.restore(store.settings)
    assert report.database.name == f"snapshot {older.name}"
    assert any("has the app_id '../../escaped', which no release writes" in note for note in report.database.notes)
    assert {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(store.layout.root)} == set()


def test_a_database_that_is_there_leads_nowhere_either(store: Store, tmp_path: Path) -> None:
    fill(store, 1, versions_each=1)
    store.db.close()
    tampered(store.layout.database, "UPDATE versions SET app_id = '../../../out'")
    with pytest.raises(LeadsOutside, match="somebody changed it"):
        restore.restore(store.settings)
    assert not list(tmp_path.rglob("out*"))


@pytest.mark.parametrize("name", ["..", "/etc", "../../b", "a/../../../../b", ""])
def test_no_path_of_the_store_leads_out_of_its_area(tmp_path: Path, name: str) -> None:
    layout = Layout(tmp_path)
    with pytest.raises(LeadsOutside):
        layout.staging(name)
    if name:
        for attempt in (
            lambda: layout.asset(name, "../icon-32.png"),
            lambda: layout.image("org.example.app", "icon-32.png", f"/../{name}"),
            lambda: layout.package("acme", f"../../{name}", 1),
        ):
            with pytest.raises(LeadsOutside):
                attempt()


def test_tokens_that_may_publish_are_named_after_a_restore(store: Store) -> None:
    """Somebody who has the drive can add a token of their own to a copy."""
    add_developer(store, "acme")
    with store.db.write() as tx:
        admin = tokens.issue(tx, audit.OPERATOR, "acme", "admin", 3650)[0]
        revoked = tokens.issue(tx, audit.OPERATOR, "acme", "admin", 90)[0]
        tokens.revoke(tx, audit.OPERATOR, "acme", revoked.token_id)
    backup.database(store)
    lines = mosis(store, "restore", "--replace-database").stdout.splitlines()
    [named] = [line for line in lines if line.startswith("Valid in it: ")]
    assert f"token {admin.token_id} of scope admin of acme, created 2" in named
    assert named.endswith("revoke it if you do not know it (`mosis token revoke`)")


def test_what_a_restore_brought_back_is_in_the_log(store: Store) -> None:
    fill(store, 1, versions_each=2)
    [one, two] = sorted(store.layout.area("packages").rglob("package.mosis"))
    one.rename(store.layout.area("data") / "one")
    before = audit.head(store.db.read())
    two.rename(store.layout.area("data") / "two")
    copy = store.layout.area("data") / "before-restore-1" / two.relative_to(store.layout.root)
    files.make_directory(copy.parent)
    (store.layout.area("data") / "two").rename(copy)
    store.db.close()
    report = restore.restore(store.settings)
    assert (len(report.restored), len(report.missing)) == (1, 1)
    [entry] = audit.entries(open_store(store.settings).db.read(), before.seq)
    assert (entry.action, entry.detail) == ("file.restore", '{"missing":1,"restored":1}')


def test_a_record_that_names_another_path_is_left_out(store: Store) -> None:
    fill(store, 1, versions_each=1)
    records.catch_up(store)
    [path] = store.layout.area("packages").glob(f"*/*/{records.APP}")
    rows = records.from_json(path.read_bytes())
    rows["assets"][0]["name"] = "../../../../out.png"
    path.write_bytes(records.to_json(rows))
    store.db.close()
    ran = mosis(store, "rebuild", "--replace-database", "--ignore-copies")
    assert "its table assets has the name '../../../../out.png'" in ran.stdout + ran.stderr
    assert not any(copies.snapshots(store.layout.snapshots))


BEFORE_ROWS_ARE_READ = {
    "a view": "CREATE VIEW audit AS SELECT 1 AS seq, 1 AS at, 'store.restore' AS action, '' AS hash, '{}' AS detail",
    "a computed column": "CREATE TABLE audit (seq INTEGER, at INTEGER AS (1), action TEXT, hash TEXT, detail TEXT)",
}


@pytest.mark.parametrize("script", BEFORE_ROWS_ARE_READ.values(), ids=BEFORE_ROWS_ARE_READ.keys())
def test_no_program_of_a_copy_runs_before_the_copy_is_checked(tmp_path: Path, script: str) -> None:
    """A recursive view has rows without end: nothing that only looks how new a copy is would end either."""
    path = tmp_path / "new.db"
    schema.migrate(path, litestream=False)
    for change in ("ALTER TABLE audit RENAME TO before", script):
        tampered(path, change)
    with pytest.raises(BackupError, match="somebody changed this copy"):
        lineage.point_of(path)
    with pytest.raises(BackupError, match="somebody changed this copy"):
        copies.check(path)
    assert lineage.origins_of(path) == set()


@pytest.mark.parametrize("index", ["audit (hex(zeroblob(seq)))", "audit (seq) WHERE hex(zeroblob(seq)) <> ''"])
def test_no_index_of_a_copy_computes_what_ours_do_not(tmp_path: Path, index: str) -> None:
    """SQLite computes it for each row to check the file: 500 rows of 20 MB took minutes."""
    path = tmp_path / "new.db"
    schema.migrate(path, litestream=False)
    copies.check(path)
    tampered(path, "CREATE INDEX plain ON audit (at, seq)")
    copies.check(path)
    tampered(path, f"CREATE INDEX computing ON {index}")
    for read in (copies.check, lineage.point_of):
        with pytest.raises(BackupError, match=r"has the index 'computing'.* somebody changed this copy"):
            read(path)


def test_a_value_of_a_copy_takes_no_more_memory_than_a_value_of_ours(tmp_path: Path) -> None:
    """Pages that lead to each other in a circle make a value of a gigabyte in a file of a few kilobytes."""
    path = tmp_path / "new.db"
    schema.migrate(path, litestream=False)
    with closing(foreign.opened(path)) as db, pytest.raises(sqlite3.DataError, match="too big"):
        db.execute("SELECT zeroblob(?)", (foreign.LONGEST + 1,))


def test_what_is_no_file_on_a_drive_is_not_opened(tmp_path: Path) -> None:
    """Opening a pipe waits for its other end, and a device may have none."""
    os.mkfifo(tmp_path / "portal-20260101T000000Z.db")
    (tmp_path / "portal-20260102T000000Z.db").symlink_to("/dev/null")
    assert copies.snapshots(tmp_path) == []
    with pytest.raises(BackupError, match="no file"):
        foreign.opened(tmp_path / "portal-20260101T000000Z.db")
    nothing = hashlib.sha256(b"").hexdigest()
    empty = NamedFile(Position(1, "app", "icon"), Path("icon"), 0, nothing)
    (tmp_path / "icon").symlink_to("/dev/null")
    assert mending.fault(tmp_path / "icon", empty, lambda size: None) is not None
    with pytest.raises(OSError, match="not a regular file"):
        files.content(tmp_path / "icon", 1)


def test_a_copy_in_a_directory_of_somebody_else_cannot_be_read(tmp_path: Path) -> None:
    """One of several: the others are looked at all the same."""
    (place := tmp_path / "snapshots").mkdir()
    with unreadable(place):
        assert lineage.origins_of(place / "portal.db") == set()
        with pytest.raises(BackupError, match="cannot be read: Permission denied"):
            lineage.point_of(place / "portal.db")


def test_what_should_be_small_on_a_drive_is_read_no_further(tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(bytes(100))
    assert files.content(tmp_path / "record", 10) == bytes(11)
