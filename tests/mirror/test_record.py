"""The record of the bucket: what is damaged is begun anew, what is merely unavailable is kept."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from portal.mirror.record import Pending, Record
from portal.store import disposable
from portal.store.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "data").mkdir()
    return Layout(tmp_path)


@pytest.fixture
def path(layout: Layout) -> Path:
    """The file of a record that has an object and one to be copied."""
    with closing(Record.open(layout)) as record:
        record.have("there", "app", "sha256", "etag")
        record.want("waiting", "app", 5, is_document=False)
    return layout.area("data") / "mirror.db"


def count(layout: Layout) -> int:
    with closing(Record.open(layout)) as record:
        return record.count()


def test_it_is_kept(layout: Layout, path: Path) -> None:
    with closing(Record.open(layout)) as record:
        assert (record.count(), record.pending()) == (1, Pending(1, 5))
        assert record.objects("app") == {"there": "sha256"}


def test_one_that_is_damaged_is_begun_anew(layout: Layout, path: Path) -> None:
    path.write_bytes(b"no database, but long enough to look at" * 100)
    assert count(layout) == 0


def test_one_of_another_release_is_begun_anew(layout: Layout, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with closing(Record.read(layout)) as read:
        assert read.count() == 0
    assert count(layout) == 0


def test_one_that_is_locked_is_kept(layout: Layout, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disposable, "BUSY_SECONDS", 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            Record.open(layout)
        other.execute("ROLLBACK")
    assert count(layout) == 1


def test_a_copy_leaves_no_trace(layout: Layout, path: Path) -> None:
    with closing(Record.read(layout)) as read, closing(read.copy()) as copy:
        copy.reset("another bucket")
        assert copy.count() == 0
    assert count(layout) == 1


def test_documents_wait_for_all_files_of_their_app() -> None:
    with closing(Record.empty()) as record:
        for app_id in ("one", "two"):
            record.want(f"{app_id}/manifest", app_id, 1, is_document=True)
        record.want("two/package", "two", 2, is_document=False)
        assert record.waiting(documents=True) == {"one": ["one/manifest"]}
        record.have("two/package", "two", "sha256", "etag")
        assert set(record.waiting(documents=True)) == {"one", "two"}
