"""One directory or drive that may not be read takes no job and no answer with it."""

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from portal.jobs import backup, cleanup, scrub, status
from portal.metrics import Metrics
from portal.recovery import generations, mending
from portal.recovery.drive import MARKER, mounts
from portal.recovery.errors import BackupError
from portal.store import files, known_files
from portal.store.store import Store, open_store
from tests.support.many import fill, flip
from tests.support.portal import make_store, mosis
from tests.support.unprivileged import NOBODY, unreadable

SHM = Path("/dev/shm")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of the user whom `unreadable` makes of this process."""
    if str(SHM) not in mounts():
        pytest.skip("this machine has no /dev/shm to stand in for a mounted drive")
    with tempfile.TemporaryDirectory(dir=SHM, prefix="mosis-drive-") as name:
        yield Path(name)


@pytest.fixture
def shut(place: Path) -> Iterator[tuple[Store, Callable[[str], Path]]]:
    """A store of nobody's, and a function that adds a directory below its root that only root may read."""
    drive = place / "drive"
    drive.mkdir()
    (drive / MARKER).touch()
    store = make_store(place / "store", backup={"mount": str(SHM), "directory": str(drive)})
    fill(store, 1, versions_each=2)
    with ExitStack() as closing:

        def add(name: str) -> Path:
            path = store.layout.root / name
            files.write_file(path / "file", b"of another")
            give(place)
            os.utime(path, (1, 1))
            store.db.close()
            closing.enter_context(unreadable(path))
            return path

        yield store, add
    store.db.close()


def give(place: Path) -> None:
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    time.strptime("2026", "%Y")  # imports a module, which only root may read here


@pytest.mark.parametrize(
    "name", ["backups/lost+found", "temp/lost+found", "packages/lost+found", "backups/snapshots/x"]
)
def test_what_may_not_be_read_ends_nothing(shut: tuple[Store, Callable[[str], Path]], name: str) -> None:
    (store, add), deleted = shut, list[Any]()
    before = {line.name for line in status.status(store.settings)}
    closed = add(name)
    lines = {line.name: line for line in status.status(store.settings)}
    assert lines.keys() == before
    assert lines["storage"].ok and f"without {closed}, which cannot be read" in lines["storage"].text
    assert b"mosis_storage_bytes" in Metrics(store).exposition()
    if name.endswith("lost+found"):
        cleanup.cleanup(store, report=deleted.append)
        assert deleted == []
        assert files.disk_usage([backup.packages(store).generation / "packages"]).bytes > 0


def test_a_directory_that_the_copy_cannot_read_costs_only_itself(shut: tuple[Store, Callable[[str], Path]]) -> None:
    store, add = shut
    add("packages/acme/other")
    with pytest.raises(BackupError, match=r"ended with 23.*packages/acme/other.*Permission denied"):
        backup.packages(store)
    [made] = generations.listed(store.settings.backup.directory)
    assert all(file.is_good(made.path) for file in known_files.every(store.db.read(), store.layout))


def test_a_package_that_may_not_be_replaced_keeps_no_other_from_being_checked(place: Path) -> None:
    """An operator put a package back with sudo: nothing behind it was checked in any later run."""
    drive = place / "drive"
    drive.mkdir()
    (drive / MARKER).touch()
    store = make_store(place / "store", backup={"mount": str(SHM), "directory": str(drive)})
    fill(store, 1, versions_each=3)
    backup.packages(store)
    first, *_, last = (file for file in known_files.every(store.db.read(), store.layout) if file.manifest)
    directory = (store.layout.root / first.path).parent
    flip(store.layout.root / last.path, 100)
    give(place)
    store.db.close()
    with unreadable(directory):
        store = open_store(store.settings)
        with pytest.raises(
            BackupError, match=rf"^1 .* {first.path} .* replaced: Permission denied; give its directory"
        ):
            scrub.scrub(store, repair=True)
        store.db.close()
    assert last.is_good(store.layout.root)


def test_a_disk_without_room_keeps_no_file_from_being_checked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(place / "store")
    fill(store, 1, versions_each=3)
    damaged = [store.layout.root / file.path for file in known_files.every(store.db.read(), store.layout)]
    for path in damaged:
        flip(path, 100)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(mending, "mend", full)
    with pytest.raises(BackupError, match="cannot be replaced: No space left on device"):
        scrub.scrub(store, repair=True)
    assert not any(path.exists() for path in damaged)
    store.db.close()


def test_a_scrub_names_a_drive_that_it_does_not_check(place: Path) -> None:
    drive = place / "drive"
    drive.mkdir()
    store = make_store(place / "store", backup={"mount": str(SHM), "directory": str(drive)})
    ran = mosis(store, "scrub")
    assert f"the drive is not checked: {drive} has no .mosis-backup" in ran.stdout
