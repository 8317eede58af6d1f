"""A file is found in whatever tree of the drive has it as the database names it."""

import os
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from portal.recovery import copies, drive
from portal.recovery.errors import BackupError
from portal.settings import Backup
from portal.store import files
from portal.store.known_files import NamedFile, Position
from portal.store.store import Store
from tests.support.unprivileged import unreadable

FILE = NamedFile(
    Position(0, "org.example.app", 1), Path("packages/a/b/1/package.mosis"), 4, sha256(b"good").hexdigest()
)


@pytest.fixture
def marked() -> Iterator[Backup]:
    """A marked drive that is a real mount of this machine."""
    mount = Path("/dev/shm")
    if str(mount) not in drive.mounts():
        pytest.skip("this machine has no /dev/shm to stand in for a mounted drive")
    with tempfile.TemporaryDirectory(dir=mount, prefix="mosis-drive-") as directory:
        (Path(directory) / drive.MARKER).touch()
        yield Backup(mount=mount, directory=Path(directory))


def tree(path: Path, content: bytes) -> Path:
    files.write_file(path / FILE.path, content)
    return path


def test_the_first_good_copy_is_found(tmp_path: Path) -> None:
    rotten, good, other = tree(tmp_path / "3", b"rot!"), tree(tmp_path / "2", b"good"), tree(tmp_path / "1", b"good")
    assert drive.find([tmp_path / "4", rotten, good, other], FILE) == good
    assert drive.find([rotten], FILE) is None


def test_hard_links_of_a_damaged_file_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rotten, link = tree(tmp_path / "2", b"rot!"), tmp_path / "1"
    (link / FILE.path).parent.mkdir(parents=True)
    os.link(rotten / FILE.path, link / FILE.path)
    read: list[Path] = []
    digest = files.digest
    monkeypatch.setattr(files, "digest", lambda path: read.append(path) or digest(path))
    assert drive.find([rotten, link], FILE) is None
    assert read == [rotten / FILE.path]


def test_a_drive_of_another_user_is_refused_in_one_sentence(marked: Backup) -> None:
    with unreadable(marked.directory), pytest.raises(BackupError, match="cannot be read: Permission denied"):
        drive.require(marked)


def test_a_drive_of_another_user_is_away_for_those_who_read_it(marked: Backup, store: Store) -> None:
    settings = store.settings.model_copy(update={"backup": marked})
    assert drive.trees(marked) == [marked.directory]
    with unreadable(marked.directory):
        assert drive.trees(marked) == []
        assert copies.on_drive(settings) == []


def test_a_snapshot_on_the_drive_is_listed_once(marked: Backup, store: Store) -> None:
    settings = store.settings.model_copy(update={"backup": marked})
    for day in (1, 2):
        files.write_file(marked.directory / drive.SNAPSHOTS / f"portal-2026010{day}T000000Z.db", b"copy")
    assert [path.name for path in copies.on_drive(settings)] == [
        "portal-20260102T000000Z.db",
        "portal-20260101T000000Z.db",
    ]
