"""A restore takes the newest copy that can be used, whatever its name or kind, and says what is not in it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from portal.jobs import backup, restore
from portal.recovery import copies, lineage
from portal.recovery.errors import BackupError
from portal.recovery.lineage import Point
from portal.store import developers
from portal.store.audit import OPERATOR
from portal.store.store import Store, open_store
from tests.support.litestream import replicate
from tests.support.portal import make_store, mosis


def change(store: Store, developer_id: str) -> None:
    """One more row of the audit log."""
    with store.db.write() as tx:
        developers.add(tx, OPERATOR, developer_id, developer_id.title())


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT developer_id FROM developers ORDER BY developer_id")]


def lose_database(store: Store) -> None:
    store.db.close()
    for path in store.layout.area("data").glob("portal.db*"):
        path.unlink()


def restored(store: Store, **options: object) -> restore.Report:
    store.db.close()
    return restore.restore(store.settings, **options)


def snapshot(store: Store, name: str) -> Path:
    """A nightly copy under a name that a wrong clock could give it."""
    return backup.database(store).rename(store.layout.snapshots / f"portal-{name}.db")


def damage_table(path: Path, table: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        [page] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        [size] = db.execute("PRAGMA page_size").fetchone()
    with path.open("rb+") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def in_replica(store: Store, tmp_path: Path) -> Point:
    target = tmp_path / "from-replica.db"
    copies.discard(target)
    copies.from_replica(store.layout.replica, target)
    return lineage.point_of(target)


def test_a_snapshot_from_the_future_does_not_win(store: Store) -> None:
    snapshot(store, "20361126T023000Z")
    change(store, "later")
    newest = backup.database(store)
    lose_database(store)
    report = restored(store)
    assert report.database.name == f"snapshot {newest.name}"
    assert names(store.layout.database) == ["later"]


def test_a_snapshot_just_made_stays(store: Store) -> None:
    for night in range(1, backup.SNAPSHOTS_KEPT + 2):
        change(store, f"night-{night}")
        snapshot(store, f"203601{night:02}T023000Z")
    change(store, "tonight")
    made = [backup.database(store) for _ in range(2)][-1]
    kept = copies.snapshots(store.layout.snapshots)
    assert made.exists()
    assert len(kept) == backup.SNAPSHOTS_KEPT
    assert "portal-20360101T023000Z.db" not in [path.name for path in kept]  # the oldest, by what is in it


@pytest.mark.parametrize("fault", ["it stood still", "its files are damaged", "it was emptied"])
def test_a_replica_that_was_not_good_enough_gives_way_and_litestream_starts_a_new_one(
    store: Store, tmp_path: Path, fault: str
) -> None:
    replicate(store.layout)
    if fault == "its files are damaged":
        for path in store.layout.replica.rglob("*.ltx"):
            path.write_bytes(path.read_bytes()[:-8])
    elif fault == "it was emptied":
        shutil.rmtree(store.layout.replica / "ltx")
        (store.layout.replica / "ltx").mkdir()
    change(store, "later")
    backup.database(store)
    lose_database(store)
    report = restored(store)
    assert report.database.name.startswith("snapshot")
    assert (report.set_aside / "backups/portal").is_dir()
    again = open_store(store.settings)
    change(again, "after")
    replicate(store.layout)
    assert in_replica(store, tmp_path) == lineage.point(again.db.read())


def test_litestream_continues_a_replica_that_was_restored_from(store: Store, tmp_path: Path) -> None:
    change(store, "first")
    replicate(store.layout)
    lose_database(store)
    report = restored(store)
    assert (report.database.name, report.database.notes) == ("Litestream replica", ())
    assert report.set_aside / ".portal.db-litestream" in list(report.set_aside.iterdir())
    again = open_store(store.settings)
    replicate(store.layout)
    change(again, "after")
    replicate(store.layout)
    assert in_replica(store, tmp_path) == lineage.point(again.db.read())
    lose_database(again)
    restored(again)
    assert names(store.layout.database) == ["after", "first"]


def test_newer_copies_that_cannot_be_used_are_named_with_what_is_lost(store: Store) -> None:
    change(store, "first")
    backup.database(store).rename(store.layout.snapshots / "portal-20260101T000000Z.db")
    change(store, "second")
    change(store, "third")
    damaged = snapshot(store, "20260102T000000Z")
    damage_table(damaged, "apps")
    (store.layout.snapshots / "portal-20260103T000000Z.db").write_bytes(b"no database")
    lose_database(store)
    ran = mosis(store, "restore")
    assert ran.returncode == 0, ran.stderr
    first, *notes = ran.stdout.splitlines()
    assert first.startswith("database restored from snapshot portal-20260101T000000Z.db, up to row ")
    assert any("portal-20260103T000000Z.db cannot be read" in note for note in notes)
    [lost] = [note for note in notes if "portal-20260102T000000Z.db" in note]
    assert "It has 2 later changes, the last made 2" in lost


def test_what_the_replaced_database_had_beyond_the_copy_is_said(store: Store) -> None:
    change(store, "first")
    backup.database(store)
    change(store, "second")
    report = restored(store, replace_database=True)
    assert [note for note in report.database.notes if "It has 1 later change, the last made 2" in note]
    assert names(report.set_aside / "portal.db") == ["first", "second"]


def test_what_a_restore_left_out_never_wins_again(store: Store) -> None:
    snapshot(store, "20260101T000000Z")
    for name in ("one", "two", "three"):
        change(store, name)
    left_out = snapshot(store, "20260102T000000Z")
    left_out.rename(store.layout.root / "away.db")
    lose_database(store)
    restored(store)
    again = open_store(store.settings)
    change(again, "new")
    backup.database(again)
    (store.layout.root / "away.db").rename(left_out)
    lose_database(again)
    report = restored(again)
    assert names(store.layout.database) == ["new"]
    assert report.database.notes == ()


def test_another_history_is_reported(store: Store, tmp_path: Path) -> None:
    change(store, "first")
    change(store, "second")
    own = backup.database(store)
    other = make_store(tmp_path / "other")
    change(other, "foreign")
    shutil.copyfile(backup.database(other), store.layout.snapshots / "portal-20990101T000000Z.db")
    lose_database(store)
    report = restored(store)
    assert report.database.name == f"snapshot {own.name}"
    [note] = report.database.notes
    assert "portal-20990101T000000Z.db has another history" in note


def test_a_log_that_was_tampered_with_gives_way_but_is_better_than_nothing(store: Store) -> None:
    change(store, "first")
    older = snapshot(store, "20260101T000000Z")
    change(store, "second")
    tampered = snapshot(store, "20260102T000000Z")
    with closing(sqlite3.connect(tampered)) as db:
        db.executescript("DROP TRIGGER audit_is_append_only_update; UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    lose_database(store)
    report = restored(store)
    assert report.database.name == f"snapshot {older.name}"
    assert "row 2 of its audit log" in report.database.notes[0]
    older.unlink()
    assert restored(store, replace_database=True).database.name == f"snapshot {tampered.name}"


def test_without_any_copy_the_reason_is_one_sentence(store: Store) -> None:
    lose_database(store)
    with pytest.raises(BackupError, match=r"No copy of the database can be restored\. There is none\."):
        restored(store)
