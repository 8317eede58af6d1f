"""The nightly copy on drives as people have them: each file system is copied to in its own way, and each is right."""

import fcntl
import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portal.jobs import backup, scrub
from portal.jobs.drive_copy import Copying
from portal.jobs.scrub import Finding
from portal.recovery import drive, generations, rsync
from portal.recovery.capabilities import Capabilities
from portal.recovery.drive import MARKER
from portal.recovery.errors import BackupError
from portal.recovery.generations import Generation
from portal.store import files, known_files
from portal.store.store import Store
from tests.support.many import fill
from tests.support.portal import make_store
from tests.support.unprivileged import NOBODY
from tests.support.volumes import mounted

ANOTHER = 1000
TREES = Capabilities(links=True, resolution=0, modes=None)
DRIVES = {
    "ext4": ("ext4", NOBODY, TREES),
    "btrfs": ("btrfs", NOBODY, TREES),
    "ntfs": ("ntfs", NOBODY, TREES),
    "ntfs of another user": ("ntfs", ANOTHER, replace(TREES, resolution=None, modes=(0o777, 0o777))),
    "exfat": ("exfat", NOBODY, replace(TREES, links=False)),
    "exfat of another user": ("exfat", ANOTHER, Capabilities(False, None, (0o777, 0o777))),
    "fat": ("fat", NOBODY, Capabilities(False, 2, (0o700, 0o700))),
}


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="mosis-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def attached(kind: str, place: Path, uid: int) -> Iterator[Store]:
    """A store of five files with a drive of this kind, both of a user who is not root."""
    with mounted(kind, place, uid=uid) as mount:
        os.chown(place, NOBODY, NOBODY)
        with suppress(OSError):
            os.chown(mount, uid, uid)
        time.strptime("2026", "%Y")  # imports a module, which only root may read here
        os.seteuid(NOBODY)
        try:
            (mount / MARKER).touch()
            store = make_store(place / "store", backup={"mount": str(mount), "directory": str(mount)})
            fill(store, 1, versions_each=3)
            yield store
            store.db.close()
        finally:
            os.seteuid(0)


def files_below(tree: Path) -> dict[str, bytes]:
    found = [path for part in generations.PARTS for path in (tree / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(tree)): path.read_bytes() for path in found}


def change(store: Store) -> set[bytes]:
    """Delete a file that has no row, and replace an image by another of the same size; returns what they were."""
    gone = store.layout.root / "packages/acme/org.example.gone/1/package.mosis"
    image = next((store.layout.root / "assets").rglob("1.png"))
    later, before = image.stat().st_mtime + 10, {gone.read_bytes(), image.read_bytes()}
    gone.unlink()
    image.write_bytes(bytes(image.stat().st_size))
    os.utime(image, (later, later))
    return before


@pytest.mark.parametrize("name", DRIVES)
def test_a_scrub_mends_damage_on_every_kind_of_drive(name: str, place: Path) -> None:
    kind, uid, _ = DRIVES[name]
    with attached(kind, place, uid) as store:
        backup.packages(store)
        file = next(known_files.every(store.db.read(), store.layout))
        damaged = drive.trees(store.settings.backup)[0] / file.path
        with damaged.open("rb+") as body:
            body.write(b"bit rot")
        found: list[Finding] = []
        scrub.scrub(store, repair=True, report=found.append)
        assert [finding.mended_from for finding in found] == ["the store"]
        assert file.is_good(drive.trees(store.settings.backup)[0])
        backup.packages(store)
        assert drive.find(drive.trees(store.settings.backup)[:1], file)


def long_ago(generation: Path) -> Path:
    """Give a generation another date, so that a later one of today does not replace it."""
    number = int(generation.name[:6])
    return generation.rename(generation.with_name(f"{number:06}-2020010{number}T030000Z"))


@pytest.mark.parametrize("name", DRIVES)
def test_every_kind_of_drive_has_the_store_and_what_it_was(name: str, place: Path) -> None:
    kind, uid, able = DRIVES[name]
    with attached(kind, place, uid) as store:
        files.write_file(store.layout.root / "packages/acme/org.example.gone/1/package.mosis", b"expires")
        first = backup.packages(store)
        assert first.drive == able
        long_ago(first.generation)
        second = long_ago(backup.packages(store).generation)
        newest, *older = drive.trees(store.settings.backup)
        assert files_below(newest) == files_below(store.layout.root)
        if able.generations:
            assert all((newest / name).samefile(older[0] / name) for name in files_below(newest))
        else:
            assert files_below(second) == {}, "nothing was copied again"
        before = change(store)
        backup.packages(store)
        newest, *older = drive.trees(store.settings.backup)
        assert files_below(newest) == files_below(store.layout.root)
        assert before <= {data for tree in older for data in files_below(tree).values()}


@contextmanager
def root() -> Iterator[None]:
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(NOBODY)


def unplug(mount: Path) -> None:
    """The file system is gone while its mount lingers, as when a cable is pulled."""
    descriptor = os.open(mount, os.O_RDONLY)
    try:
        with root():
            fcntl.ioctl(descriptor, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN
    finally:
        os.close(descriptor)


def protect(mount: Path) -> None:
    with root():
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)


def fill_up(mount: Path) -> None:
    with root(), (mount / "others").open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 20))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (unplug, "Input/output error. Check the drive and its cable"),
        (protect, "Read-only file system. It is mounted read-only"),
        (fill_up, "No space left on device.*Delete the oldest director"),
    ],
)
def test_a_drive_that_takes_nothing_is_noticed_although_nothing_is_to_be_copied(
    place: Path, harm: Callable[[Path], None], reason: str
) -> None:
    with attached("ext4", place, NOBODY) as store:
        backup.packages(store)
        harm(store.settings.backup.mount)
        with pytest.raises(BackupError, match=reason):
            backup.packages(store)


def test_a_drive_that_goes_away_after_the_copy_is_noticed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with attached("ext4", place, NOBODY) as store:
        run = rsync.run

        def and_unplug(what: str, *arguments: Any, **options: Any) -> None:
            run(what, *arguments, **options)
            unplug(store.settings.backup.mount)

        monkeypatch.setattr(rsync, "run", and_unplug)
        with pytest.raises(BackupError, match=r"Check the drive and its cable|The drive failed"):
            backup.packages(store)


def test_a_drive_that_goes_away_before_the_last_flush_is_noticed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is copied and has its name, as far as this machine's memory goes."""
    with attached("ext4", place, NOBODY) as store:
        run = Copying.run

        def and_unplug(copying: Copying) -> Generation:
            made = run(copying)
            unplug(store.settings.backup.mount)
            return made

        monkeypatch.setattr(Copying, "run", and_unplug)
        with pytest.raises(BackupError, match="Check the drive and its cable"):
            backup.packages(store)


def test_a_cable_that_is_pulled_costs_no_older_generation(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not flushed is gone then; the next night has everything again."""
    with attached("ext4", place, NOBODY) as store:
        mount, image, run = store.settings.backup.mount, place / "ext4.img", rsync.run
        first = long_ago(backup.packages(store).generation)
        before = files_below(first)
        files.write_file(store.layout.root / "packages/acme/late", os.urandom(1 << 20))

        def and_unplug(what: str, *arguments: Any, **options: Any) -> None:
            run(what, *arguments, **options)
            unplug(mount)

        with monkeypatch.context() as patched, pytest.raises(BackupError):
            patched.setattr(rsync, "run", and_unplug)
            backup.packages(store)
        with root():
            subprocess.run(["umount", mount], check=True)
            subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        assert files_below(first) == before
        assert files_below(backup.packages(store).generation) == files_below(store.layout.root)
        assert files_below(first) == before


def test_a_drive_that_fills_up_says_what_helps(place: Path) -> None:
    with attached("ext4", place, NOBODY) as store:
        files.write_file(store.layout.root / "packages/large", os.urandom(80 << 20))
        with pytest.raises(BackupError, match=r"No space left on device.*Delete the oldest director") as failed:
            backup.packages(store)
        assert len(str(failed.value)) < 500
        (store.layout.root / "packages/large").unlink()
        (store.settings.backup.mount / "generations/.partial/packages/large").unlink(missing_ok=True)
        backup.packages(store)
