"""What a restore sets aside is whole at its new place before it leaves the old one."""

import os
import tempfile
from pathlib import Path

import pytest

from portal.recovery.set_aside import SetAside
from portal.store.layout import Layout

SHM = Path("/dev/shm")


@pytest.mark.skipif(not SHM.is_dir(), reason="no second file system on this machine")
@pytest.mark.parametrize("taken", ["d/a/1", "d/a/1/package.mosis"])
def test_onto_another_disk_a_copy_is_flushed_before_the_original_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    with tempfile.TemporaryDirectory(dir=SHM) as disk:
        (tmp_path / "data").mkdir()
        (tmp_path / "packages").symlink_to(disk)
        package = tmp_path / "packages/d/a/1/package.mosis"
        package.parent.mkdir(parents=True)
        package.write_bytes(b"package")
        flushed = set[int]()
        fsync = os.fsync

        def note(descriptor: int) -> None:
            fsync(descriptor)
            if package.exists():
                flushed.add(os.fstat(descriptor).st_ino)

        monkeypatch.setattr(os, "fsync", note)
        aside = SetAside(Layout(tmp_path))
        aside.take(tmp_path / "packages" / taken)
        final = aside.finish()
        assert final is not None
        assert not package.exists()
        assert (final / "packages/d/a/1/package.mosis").read_bytes() == b"package"
        assert (final / "packages/d/a/1/package.mosis").stat().st_ino in flushed
