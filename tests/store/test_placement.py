"""A package is in place before its row, and no row ever loses its package."""

import errno
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from portal.store import apps, assets, audit, database, files, placement, signed_uploads, versions
from portal.store.claims import claim
from portal.store.errors import Refused
from portal.store.store import Store, open_store
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")
TARGET = placement.Target("acme", APP_ID, 1)


class KilledError(BaseException):
    """Ends a request as SIGKILL would: what it has done stays, and it does nothing more."""


@pytest.fixture
def app(store: Store) -> apps.App:
    add_developer(store, "acme")
    with store.db.write() as tx:
        return apps.add(tx, DEVELOPER, APP_ID, "Reader", "")


def whole_upload(store: Store, app: apps.App, package: Path) -> str:
    """A signed upload whose body has been acknowledged."""
    make_package(package)
    transfer = signed_uploads.issue(store, app, package.stat().st_size, None)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([package.read_bytes()])
    return transfer.upload_id


class FailsLate(sqlite3.Connection):
    """Reports a COMMIT as failed that is in the WAL, as after an fsync that failed and a restart."""

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        cursor = super().execute(sql, *arguments)
        if sql == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor


def killed_before_commit(store: Store, upload_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A completion that has linked the package and gets no further; another process finds what it left."""

    def kill() -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(placement, "_withdraw", lambda *_: None)
        patched.setattr(audit, "append", lambda *_, **__: kill())
        with pytest.raises(KilledError):
            signed_uploads.complete(store, DEVELOPER, upload_id)


def test_an_acknowledged_body_survives_a_crash_between_link_and_commit(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = whole_upload(store, app, tmp_path / "p.mosis")
    killed_before_commit(store, upload_id, monkeypatch)
    assert TARGET.directory(store.layout).exists()
    assert signed_uploads.complete(store, DEVELOPER, upload_id).status == "draft"
    assert store.layout.package(*TARGET).read_bytes() == (tmp_path / "p.mosis").read_bytes()


def test_the_row_of_a_commit_that_failed_finds_its_package_when_it_comes_back(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = whole_upload(store, app, tmp_path / "p.mosis")
    with monkeypatch.context() as patched:
        patched.setattr(database.sqlite3, "connect", partial(sqlite3.connect, factory=FailsLate))
        failing = open_store(store.settings)
        with pytest.raises(sqlite3.OperationalError):
            signed_uploads.complete(failing, DEVELOPER, upload_id)
        failing.db.close()
    assert versions.get(store.db.read(), APP_ID, 1).status == "draft"
    assert store.layout.package(*TARGET).read_bytes() == (tmp_path / "p.mosis").read_bytes()


def test_an_orphan_is_removed_only_after_another_commit(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_before_commit(store, whole_upload(store, app, tmp_path / "p.mosis"), monkeypatch)
    statements: list[str] = []
    set_aside = placement.set_aside

    def traced(*arguments: object) -> object:
        statements.append("removed")
        return set_aside(*arguments)

    monkeypatch.setattr(placement, "set_aside", traced)
    store.db.read().set_trace_callback(statements.append)
    assert placement.remove_orphan(store, TARGET)
    written = [line.split()[0] for line in statements]
    assert written.index("INSERT") < written.index("COMMIT") < written.index("removed")
    assert not TARGET.directory(store.layout).exists()


def test_the_package_of_a_version_is_no_orphan(store: Store, app: apps.App, tmp_path: Path) -> None:
    signed_uploads.complete(store, DEVELOPER, whole_upload(store, app, tmp_path / "p.mosis"))
    assert not placement.remove_orphan(store, TARGET)
    assert store.layout.package(*TARGET).exists()


def test_a_refused_package_leaves_nothing_where_versions_are(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = whole_upload(store, app, tmp_path / "p.mosis")

    def refuse(*_: object, **__: object) -> None:
        raise Refused("VERSION_CONFLICT", "late")

    monkeypatch.setattr(audit, "append", refuse)
    with pytest.raises(Refused):
        placement_of(store, upload_id)
    assert not TARGET.directory(store.layout).exists()


def placement_of(store: Store, upload_id: str) -> None:
    source = store.layout.staging(upload_id)
    (source / placement.MANIFEST).write_bytes(b"{}")
    with placement.linked(store, source, TARGET, lambda _: None) as tx:
        audit.append(tx, DEVELOPER, "version.upload", APP_ID)


def test_packages_of_one_app_are_placed_one_after_the_other(store: Store, app: apps.App, tmp_path: Path) -> None:
    upload_id = whole_upload(store, app, tmp_path / "p.mosis")
    source = store.layout.staging(upload_id)
    (source / placement.MANIFEST).write_bytes(b"{}")
    with (
        placement.linked(store, source, TARGET, lambda _: None),
        claim(store.layout.claims, f"packages of {APP_ID}") as free,
    ):
        assert not free


def test_an_older_portal_that_takes_the_links_for_an_orphan_costs_a_retry(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = whole_upload(store, app, tmp_path / "p.mosis")
    require_free, calls = versions.require_free, []

    def moved_away_meanwhile(*arguments: Any) -> None:
        calls.append(arguments)
        require_free(*arguments)
        if len(calls) == 2:  # in the transaction; older releases make no claims
            TARGET.directory(store.layout).rename(store.layout.staging("orphan-1"))

    with monkeypatch.context() as patched:
        patched.setattr(versions, "require_free", moved_away_meanwhile)
        with pytest.raises(FileNotFoundError):
            signed_uploads.complete(store, DEVELOPER, upload_id)
    assert signed_uploads.complete(store, DEVELOPER, upload_id).status == "draft"
    assert store.layout.package(*TARGET).read_bytes() == (tmp_path / "p.mosis").read_bytes()


@pytest.mark.parametrize("kind", ["package", "icon"])
def test_directories_that_a_failed_attempt_made_are_flushed_by_the_next_one(
    store: Store, app: apps.App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    upload_id = whole_upload(store, app, tmp_path / "p.mosis")
    flush, flushed = files.flush_directory, list[Path]()

    def place() -> None:
        if kind == "package":
            signed_uploads.complete(store, DEVELOPER, upload_id)
        else:
            assets.put_icon(store, DEVELOPER, app, {32: b"icon"})

    def failing(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    with monkeypatch.context() as patched, pytest.raises(OSError, match="Input/output error"):
        patched.setattr(files, "flush_directory", failing)
        place()
    monkeypatch.setattr(files, "flush_directory", lambda path: (flushed.append(path), flush(path)))
    place()
    area = "packages" if kind == "package" else "assets"
    assert store.layout.area(area) in flushed
    if kind == "package":
        assert store.layout.area(area) / "acme" in flushed
