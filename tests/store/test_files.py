"""The write sequence."""

import errno
import os
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from portal.faults import sentence
from portal.store import files
from portal.store.errors import Refused
from tests.support.unprivileged import unreadable


def test_a_body_is_whole_hashed_and_bounded(tmp_path: Path) -> None:
    sink = files.Sink(tmp_path / "body", limit=10)
    sink.write(b"01234")
    sink.write(memoryview(b"56789"))
    received = sink.finish()
    assert (tmp_path / "body").read_bytes() == b"0123456789"
    assert (received.size, received.sha256) == (10, files.digest(tmp_path / "body"))
    with closing(files.Sink(tmp_path / "more", limit=10)) as sink, pytest.raises(Refused) as refused:
        sink.write(b"01234567890")
    assert refused.value.code == "FILE_TOO_LARGE"


def test_a_file_is_replaced_only_when_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    files.write_file(path, b"one", mode=0o600)
    assert path.stat().st_mode & 0o777 == 0o600
    files.write_file(path, b"two")
    with pytest.raises(FileExistsError):
        files.write_file(path, b"three", replace=False)
    assert path.read_bytes() == b"two"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_directory_never_replaces_one_with_files(tmp_path: Path) -> None:
    source, target = tmp_path / "temp" / "a", tmp_path / "packages" / "dev" / "app" / "1"
    for path, content in ((source, b"new"), (target, b"old")):
        files.write_file(path / "package.mosis", content)
    with pytest.raises(FileExistsError):
        files.place_directory(source, target)
    assert (target / "package.mosis").read_bytes() == b"old"
    (target / "package.mosis").unlink()
    files.place_directory(source, target)
    assert (target / "package.mosis").read_bytes() == b"new"
    assert not source.exists()


def test_the_order_of_the_write_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data, then name, then directory: whatever a power cut leaves is whole."""
    seen: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        seen.append("fsync " + ("directory" if path.is_dir() else "file"))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", lambda self, to: (seen.append("rename"), real_rename(self, to)))
    files.write_file(tmp_path / "file", b"x")
    assert seen == ["fsync file", "rename", "fsync directory"]


def test_disk_usage_counts_files_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"12345")
    (tmp_path / "d").write_bytes(b"678")
    assert files.disk_usage([tmp_path, tmp_path / "missing"]) == files.Usage(8)


def test_disk_usage_counts_what_may_be_read_and_names_the_rest() -> None:
    with tempfile.TemporaryDirectory() as name:  # every user may enter its parent, unlike tmp_path's
        place, closed = Path(name), Path(name) / "lost+found"
        place.chmod(0o755)
        files.make_directory(closed)
        for path in (closed / "a", place / "b", place / "c" / "d"):
            files.write_file(path, b"1234")
        with unreadable(closed):
            assert files.disk_usage([place]) == files.Usage(8, (closed,))


def test_an_error_of_writing_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as failed:
        files.write_file(tmp_path / "note.json", b"x")
    assert sentence(failed.value) == f"The disk of {tmp_path / 'note.json'} is full: free space on it."
