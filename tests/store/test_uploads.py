"""A package comes in whole or not at all."""

import sqlite3
from pathlib import Path

import pytest

from portal.store import apps, audit, files, signed_uploads
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")


def test_a_commit_that_fails_leaves_the_package_where_it_was(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_developer(store, "acme")
    with store.db.write() as tx:
        app = apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    make_package(tmp_path / "p.mosis")
    transfer = signed_uploads.issue(store, app, (tmp_path / "p.mosis").stat().st_size, None)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([(tmp_path / "p.mosis").read_bytes()])
    place = files.place_directory

    def place_and_break(source: Path, target: Path) -> None:
        place(source, target)
        store.db.read().execute("PRAGMA defer_foreign_keys = ON")  # what a commit checks, and no statement before it
        store.db.read().execute("UPDATE versions SET developer_id = 'nobody'")

    with monkeypatch.context() as broken:
        broken.setattr(files, "place_directory", place_and_break)
        with pytest.raises(sqlite3.IntegrityError):
            signed_uploads.complete(store, DEVELOPER, transfer.upload_id)
    assert not list(store.layout.area("packages").rglob("package.mosis"))
    assert signed_uploads.complete(store, DEVELOPER, transfer.upload_id).status == "draft"
