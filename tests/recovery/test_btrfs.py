"""Snapshots of a root that is a Btrfs subvolume: by the store's user, read-only, few, and a restore reads them."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from portal.jobs import backup, restore, status
from portal.recovery import btrfs, generations
from portal.store.store import Store
from tests.support.many import fill
from tests.support.portal import make_store
from tests.support.unprivileged import NOBODY
from tests.support.volumes import mounted

NIGHT = datetime(2026, 11, 1, 3, tzinfo=UTC)


@contextmanager
def subvolume(owner: int = NOBODY) -> Iterator[Path]:
    """A subvolume of `owner`; this process is a user who is not root."""
    with tempfile.TemporaryDirectory(prefix="mosis-") as name, mounted("btrfs", Path(name)) as volume:
        Path(name).chmod(0o755)
        root = volume / "store"
        subprocess.run(["btrfs", "subvolume", "create", root], check=True, capture_output=True)
        os.chown(root, owner, owner)
        time.strptime("2026", "%Y")  # imports a module, which only root may read here, as the next line does
        "localhost".encode("idna")
        os.seteuid(NOBODY)
        try:
            yield root
        finally:
            os.seteuid(0)


def test_a_snapshot_is_the_root_and_cannot_be_changed() -> None:
    with subvolume() as root:
        (root / "file").write_bytes(b"before")
        made = btrfs.snapshot(root, NIGHT, keep=3)
        (root / "file").write_bytes(b"after")
        assert made == root / "generations/000001-20261101T030000Z"
        assert (made / "file").read_bytes() == b"before"
        with pytest.raises(OSError, match="Read-only"):
            (made / "file").unlink()


def test_those_of_the_last_days_are_kept() -> None:
    with subvolume() as root:
        (root / "packages").mkdir()
        for day in range(4):
            btrfs.snapshot(root, NIGHT + timedelta(days=day), keep=2)
        assert [one.number for one in generations.listed(root)] == [4, 3]
        assert len(list((root / "generations").iterdir())) == 2


def test_a_deletion_that_was_interrupted_is_finished() -> None:
    with subvolume() as root:
        made = btrfs.snapshot(root, NIGHT, keep=1)
        btrfs._set_writable(made)
        made.rename(made.with_name(f".expired-{made.name}"))
        btrfs.snapshot(root, NIGHT, keep=1)
        assert [path.name for path in (root / "generations").iterdir()] == ["000001-20261101T030000Z"]


@pytest.mark.parametrize("case", ["another user's", "no subvolume", "switched off"])
def test_where_it_is_not_possible_nothing_happens(case: str) -> None:
    with subvolume(0 if case == "another user's" else NOBODY) as root:
        where = root if case != "no subvolume" else root / "directory"
        where.mkdir(exist_ok=True)
        assert btrfs.snapshot(where, NIGHT, keep=0 if case == "switched off" else 3) is None
        assert not generations.listed(where)


def test_a_restore_finds_in_a_snapshot_what_was_deleted_by_mistake() -> None:
    with subvolume() as root:
        store: Store = make_store(root)
        fill(store, 1)
        backup.database(store)
        assert " 1 of the root (Btrfs), the oldest 2" in "".join(
            f" {line.text}" for line in status.status(store.settings) if line.name == "snapshots"
        )
        shutil.rmtree(root / "packages")
        report = restore.restore(store.settings)
        assert len(report.restored) == 10 and not report.missing
        store.db.close()
