"""The audit log against the copies that the backups made."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.jobs import audit as job
from portal.jobs import backup, status
from portal.recovery import copies, drive
from portal.store import audit
from portal.store.store import Store
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


def test_a_drive_that_is_away_is_no_fault(saved: Store) -> None:
    (saved.settings.backup.directory / drive.MARKER).unlink()
    assert list(job.faults(saved)) == []


def test_status_tells_of_it(saved: Store) -> None:
    write_anew(saved)
    [line] = [line for line in status.status(saved.settings) if line.name == "audit"]
    assert not line.ok
    assert "no longer has row" in line.text
