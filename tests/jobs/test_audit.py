"""The audit log against the copies that the backups made."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.jobs import audit as job
from portal.jobs import backup, restore, status
from portal.recovery import copies, drive, lineage
from portal.store import audit
from portal.store.store import Store
from tests.support.clock import move
from tests.support.portal import add_developer, make_store

SHM = Path("/dev/shm")


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Store]:
    """A store whose snapshots are on a drive too; the drive is a real mount of this machine."""
    if str(SHM) not in drive.mounts():
        pytest.skip("this machine has no /dev/shm to stand in for a mounted drive")
    with tempfile.TemporaryDirectory(dir=SHM, prefix="mosis-drive-") as directory:
        (Path(directory) / drive.MARKER).touch()
        store = make_store(tmp_path / "store", backup={"mount": str(SHM), "directory": directory})
        add_developer(store, "ann")
        backup.database(store)
        backup.packages(store)
        yield store
        store.db.close()


def write_anew(store: Store) -> None:
    """A log of the same length that verifies by itself."""
    db = store.db.read()
    rows = list(audit.entries(db))
    db.execute("DROP TRIGGER audit_is_append_only_delete")
    db.execute("DELETE FROM audit")
    db.execute("UPDATE sqlite_sequence SET seq = 0 WHERE name = 'audit'")
    with store.db.write() as tx:
        for row in rows:
            audit.append(tx, audit.OPERATOR, row.action, "somebody-else")
    assert audit.first_fault(db) is None


def test_a_log_that_went_on_agrees_with_its_copies(saved: Store) -> None:
    add_developer(saved, "bob", key=None)
    assert list(job.faults(saved)) == []


def test_the_drive_alone_tells_of_a_log_written_anew(saved: Store) -> None:
    for snapshot in copies.snapshots(saved.layout.snapshots):
        snapshot.unlink()
    write_anew(saved)
    [fault] = job.faults(saved)
    assert str(SHM) in fault


def test_what_a_restore_left_out_is_counted_and_no_fault(saved: Store) -> None:
    [older] = copies.snapshots(saved.layout.snapshots)
    older.rename(older.with_name("portal-20200101T000000Z.db"))
    add_developer(saved, "bob", key=None)
    newer = backup.database(saved).rename(older.with_name("portal-20200102T000000Z.db"))
    backup.packages(saved)
    newer.unlink()
    marker = saved.settings.backup.directory / drive.MARKER
    marker.unlink()
    saved.db.close()
    restore.restore(saved.settings, replace_database=True)
    marker.touch()
    assert list(job.faults(saved)) == []
    assert job.left_out(saved) == "1 copy has changes that a restore left out (`store.restore` in the log)."
    [line] = [line for line in status.status(saved.settings) if line.name == "audit"]
    assert line.ok and "a restore left out" in line.text


def test_a_restore_hides_no_log_that_was_written_anew(saved: Store) -> None:
    write_anew(saved)
    with saved.db.write() as tx:
        audit.append(tx, audit.OPERATOR, lineage.RESTORED, "a snapshot", timeline=1)
    assert list(job.faults(saved))


def test_a_drive_that_is_away_is_no_fault(saved: Store) -> None:
    (saved.settings.backup.directory / drive.MARKER).unlink()
    assert list(job.faults(saved)) == []


def test_status_tells_of_it(saved: Store) -> None:
    write_anew(saved)
    [line] = [line for line in status.status(saved.settings) if line.name == "audit"]
    assert not line.ok
    assert "no longer has row" in line.text


def rows_read(store: Store) -> int:
    """How many rows of the log a status reads."""
    statements: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        chain = audit._chain
        patch.setattr(audit, "_chain", lambda previous, row: statements.append("") or chain(previous, row))
        assert list(job.recent_faults(store)) == []
    return len(statements)


def test_status_reads_a_row_once_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_developer(store, "ann")
    number = audit.head(store.db.read()).seq
    assert [rows_read(store), rows_read(store)] == [number, 0]
    add_developer(store, "bob", key=None)
    assert rows_read(store) == audit.head(store.db.read()).seq - number
    move(monkeypatch, job.RECHECK_SECONDS + 60)
    assert rows_read(store) == audit.head(store.db.read()).seq


def tampered(store: Store) -> list[str]:
    db = store.db.read()
    db.execute("DROP TRIGGER IF EXISTS audit_is_append_only_update")
    db.execute("UPDATE audit SET subject = 'x' WHERE seq = 1")
    return list(job.recent_faults(store))


def test_a_row_that_changes_after_it_was_read_shows_within_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_developer(store, "ann")
    assert rows_read(store)
    assert tampered(store) == []
    assert len([*job.faults(store)]) == 1
    move(monkeypatch, job.RECHECK_SECONDS + 60)
    assert len(tampered(store)) == 1


def test_a_fault_is_not_noted_as_verified(store: Store) -> None:
    add_developer(store, "ann")
    assert tampered(store) == tampered(store) != []


def test_a_log_that_is_shorter_than_it_was_is_a_fault_but_not_in_a_restored_database(
    store: Store, tmp_path: Path
) -> None:
    add_developer(store, "ann")
    copies.write(store.db.read(), tmp_path, "portal")
    add_developer(store, "bob", key=None)
    assert rows_read(store)
    with store.db.write() as tx:
        tx.execute("DROP TRIGGER audit_is_append_only_delete")
        tx.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
    assert len([*job.recent_faults(store)]) == 1
    store.db.close()
    next(tmp_path.glob("portal-*.db")).replace(store.layout.database)
    assert list(job.recent_faults(store)) == []
