"""What `mosis status` reports about the drive, and that no part that fails takes another one with it."""

from pathlib import Path

from portal.jobs import backup, status
from portal.recovery.drive import MARKER
from portal.store.store import Store


def lines(store: Store) -> dict[str, tuple[bool, str]]:
    return {line.name: (line.ok, line.text) for line in status.status(store.settings)}


def test_the_number_of_generations_and_the_oldest(saved: Store, drive: Path) -> None:
    assert lines(saved)["generations"] == (True, "0 on the drive, the oldest never")
    (drive / "generations/000001-20260102T030405Z").mkdir(parents=True)
    (drive / "generations/000002-undated").mkdir()
    backup.packages(saved)
    assert lines(saved)["generations"] == (True, "3 on the drive, the oldest 2026-01-02 03:04:05Z")


def test_a_date_that_stops_the_deletion_is_named(saved: Store, drive: Path) -> None:
    for name in ("000001-20360102T030405Z", "000002-20260102T030405Z"):
        (drive / "generations" / name).mkdir(parents=True)
    ok, text = lines(saved)["generations"]
    assert not ok and f"{drive}/generations/000001-20360102T030405Z is dated later" in text
    assert "rename it to 000001-undated" in text


def test_a_drive_that_is_away_is_one_line(saved: Store, drive: Path) -> None:
    before = lines(saved)
    (drive / MARKER).unlink()
    found = lines(saved)
    ok, text = found.pop("generations")
    assert not ok and "has no .mosis-backup" in text
    assert found.keys() == before.keys() - {"generations"}


def test_a_store_without_a_drive_has_no_such_line(store: Store) -> None:
    assert "generations" not in lines(store)


def test_a_part_that_fails_takes_no_other_with_it(store: Store) -> None:
    before = lines(store)
    with store.db.write() as tx:
        tx.execute("DROP TABLE assets")
        tx.execute("DROP TABLE versions")
    found = lines(store)
    assert found["versions"] == (False, "no such table: versions")
    assert found.keys() - {"retention"} == before.keys(), "a line that is shown only if there is something to say"
