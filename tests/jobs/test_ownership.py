"""A drive is its store's: no other one copies to it, prunes, mends or restores from it."""

import shutil
from pathlib import Path

import pytest

from portal.jobs import backup, drill, rebuild, restore, scrub, status
from portal.recovery import drive, generations, ownership, records
from portal.recovery.drive import MARKER
from portal.recovery.errors import BackupError
from portal.store import audit, known_files
from portal.store.store import Store, open_store
from tests.support.litestream import replicate
from tests.support.many import fill
from tests.support.portal import add_developer, make_store, mosis

OTHERS = "has the backups of another store"


@pytest.fixture
def other(tmp_path: Path, saved: Store) -> Store:
    """A second store with the same settings, whose own drive is not the one that is attached."""
    fill(saved, 2)
    backup.database(saved)
    backup.packages(saved)
    made = make_store(tmp_path / "other", **saved.settings.model_dump(mode="json", include={"backup", "litestream"}))
    fill(made, 2)
    return made


def content(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_another_store_changes_nothing_on_the_drive(saved: Store, other: Store) -> None:
    directory = drive.require(saved.settings.backup)
    for file in known_files.every(other.db.read(), other.layout):
        (other.layout.root / file.path).write_bytes(b"other bytes")
    with other.db.write() as tx:  # its own copy would be good, and the drive's differs
        tx.execute("UPDATE versions SET size = 11, sha256 = ?", ("1f" * 32,))
    before = content(directory)
    for attempt in (backup.packages, backup.outlook):
        with pytest.raises(BackupError, match=OTHERS):
            attempt(other)
    with pytest.raises(BackupError):
        scrub.scrub(other, repair=True)
    with pytest.raises(BackupError, match=OTHERS):
        drill.drill(other)
    assert content(directory) == before
    lines = {line.name: line for line in status.status(other.settings)}
    assert not lines["generations"].ok and OTHERS in lines["generations"].text
    assert "That copy is another store's, or this log was written anew." in lines["audit"].text
    backup.packages(saved)
    assert len(generations.listed(directory)) == 2


def test_a_rebuild_takes_no_drive_of_another_store(other: Store) -> None:
    records.catch_up(other)
    other.db.close()
    rebuild.rebuild(other.settings, replace_database=True, ignore_copies=True)
    with pytest.raises(BackupError, match=OTHERS):
        backup.packages(open_store(other.settings))


def test_a_drive_of_an_older_release_is_known_by_its_copies(saved: Store, other: Store) -> None:
    marker = drive.require(saved.settings.backup) / MARKER
    marker.write_text("")
    with pytest.raises(BackupError, match=OTHERS):
        backup.packages(other)
    backup.packages(saved)
    assert marker.read_text().strip() == audit.origin(saved.db.read())


def test_the_newest_tree_of_such_a_drive_decides_whatever_a_clock_named_its_copies(saved: Store, other: Store) -> None:
    directory = drive.require(saved.settings.backup)
    (directory / MARKER).write_text("")
    backup.packages(saved)
    (directory / MARKER).write_text("")
    oldest = generations.listed(directory)[-1].path
    shutil.copy(backup.database(other), oldest / drive.SNAPSHOTS / "portal-20361126T023000Z.db")
    ownership.require(saved, directory)
    with pytest.raises(BackupError, match=OTHERS):
        ownership.require(other, directory)


def test_a_restore_takes_its_own_copy_though_the_drive_has_a_longer_log(saved: Store, other: Store) -> None:
    for number in range(3):
        add_developer(saved, f"more{number}", key=None)
    backup.database(saved)
    backup.packages(saved)
    replicate(other.layout)
    own = audit.origin(other.db.read())
    other.db.close()
    other.layout.database.unlink()
    report = restore.restore(other.settings)
    assert report.database and report.database.name == "Litestream replica"
    assert any("is of another store" in note for note in report.database.notes)
    assert audit.origin(open_store(other.settings).db.read()) == own


def test_a_store_that_lost_everything_comes_back_from_the_drive(saved: Store, tmp_path: Path) -> None:
    fill(saved, 2)
    backup.database(saved)
    backup.packages(saved)
    anew = saved.settings.model_copy(update={"root": tmp_path / "anew"})
    anew.root.mkdir()
    with pytest.raises(BackupError, match=r"does not know \(Acme, 2 apps, begun 20.*add --adopt") as refused:
        restore.restore(anew)
    assert "last changed 20" in str(refused.value)
    restore.restore(anew, adopt=True)
    back = open_store(anew)
    assert audit.origin(back.db.read()) == audit.origin(saved.db.read())
    ownership.require(back, drive.require(anew.backup))


def test_a_restore_never_makes_one_store_another_without_a_word(saved: Store, other: Store) -> None:
    """It has no copy on its own disk, but its database says which store it is."""
    own = audit.origin(other.db.read())
    other.db.close()
    with pytest.raises(BackupError, match=r"is of another store \(Acme, 2 apps, .*--adopt"):
        restore.restore(other.settings, replace_database=True)
    assert audit.origin(open_store(other.settings).db.read()) == own
    for number in range(3):
        add_developer(open_store(other.settings), f"more{number}", key=None)
    backup.database(open_store(other.settings))
    replicate(other.layout)  # copies with a longer log, which do not count
    ran = mosis(other, "restore", "--replace-database", "--adopt")
    assert ran.returncode == 0, ran.stderr
    assert audit.origin(open_store(other.settings).db.read()) == audit.origin(saved.db.read())


def test_a_drive_is_adopted_on_request_alone(saved: Store, other: Store) -> None:
    """Such as after a rebuild while the drive was away: that log knows nothing of the one before."""
    with pytest.raises(BackupError, match="`mosis backup packages --adopt`"):
        backup.packages(other)
    ran = mosis(other, "backup", "packages", "--adopt")
    assert ran.returncode == 0, ran.stderr
    backup.packages(other)
    with pytest.raises(BackupError, match=OTHERS):
        backup.packages(saved)


def test_what_an_operator_wrote_into_the_marker_is_no_other_store(saved: Store) -> None:
    add_developer(saved, "acme", key=None)
    marker = drive.require(saved.settings.backup) / MARKER
    marker.write_text("the store's drive, do not delete\n")
    backup.packages(saved)
    assert marker.read_text().strip() == audit.origin(saved.db.read())
