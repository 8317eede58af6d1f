"""A package comes in whole or not at all."""

import sqlite3
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from portal.packages import package as packages
from portal.packages import signature
from portal.packages.limits import Limits
from portal.store import apps, audit, deletion, keys, signed_uploads, uploads, versions
from portal.store.errors import Refused
from portal.store.store import CHECKS_MAX, Store
from tests.packages.samples import APP_ID, KEY, make_package
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")


def received(store: Store, tmp_path: Path) -> signed_uploads.Transfer:
    """An upload whose body is complete."""
    add_developer(store, "acme")
    with store.db.write() as tx:
        app = apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    make_package(tmp_path / "p.mosis")
    transfer = signed_uploads.issue(store, app, (tmp_path / "p.mosis").stat().st_size, None)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([(tmp_path / "p.mosis").read_bytes()])
    return transfer


def test_a_commit_that_fails_leaves_the_package_for_another_attempt(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = received(store, tmp_path)
    append = audit.append

    def append_and_break(tx: sqlite3.Connection, *arguments: object, **detail: object) -> None:
        append(tx, *arguments, **detail)
        tx.execute("PRAGMA defer_foreign_keys = ON")  # what a commit checks, and no statement before it
        tx.execute("UPDATE versions SET developer_id = 'nobody'")
        monkeypatch.undo()

    monkeypatch.setattr(audit, "append", append_and_break)
    with pytest.raises(sqlite3.IntegrityError):
        signed_uploads.complete(store, DEVELOPER, transfer.upload_id)
    assert signed_uploads.complete(store, DEVELOPER, transfer.upload_id).status == "draft"
    assert store.layout.package("acme", APP_ID, 1).exists()
    assert not list(store.layout.area("temp").iterdir())


def test_a_repetition_whose_end_fails_can_be_completed_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may be full: what has been uploaded stays until its end is noted."""
    first = received(store, tmp_path)
    placed = signed_uploads.complete(store, DEVELOPER, first.upload_id)
    again = signed_uploads.issue(store, apps.get(store.db.read(), APP_ID), first.size, None)
    with signed_uploads.held(store, again.upload_id) as upload:
        upload.append([(tmp_path / "p.mosis").read_bytes()])

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched, pytest.raises(sqlite3.OperationalError):
        patched.setattr(uploads, "_close", full)
        signed_uploads.complete(store, DEVELOPER, again.upload_id)
    assert signed_uploads.complete(store, DEVELOPER, again.upload_id) == placed
    assert not list(store.layout.area("temp").iterdir())


def test_few_packages_are_validated_at_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes memory, of which a container has no more than its limit, and a worker has hundreds of threads."""
    transfer, free = received(store, tmp_path), []

    def read(path: Path, limits: Limits) -> packages.Package:
        taken = sum(store.checks.acquire(blocking=False) for _ in range(CHECKS_MAX))
        store.checks.release(taken)
        free.append(taken)
        return packages.read(path, limits)

    monkeypatch.setattr(uploads, "packages", SimpleNamespace(read=read, verify=packages.verify))
    assert signed_uploads.complete(store, DEVELOPER, transfer.upload_id).status == "draft"
    assert free == [CHECKS_MAX - 1]


def test_a_key_that_is_revoked_while_the_package_is_checked_signs_no_version(store: Store, tmp_path: Path) -> None:
    transfer = received(store, tmp_path)
    manifest = store.layout.staging(transfer.upload_id) / "manifest.json"
    refusals: list[Refused] = []

    def complete() -> None:
        try:
            signed_uploads.complete(store, DEVELOPER, transfer.upload_id)
        except Refused as refused:
            refusals.append(refused)
        finally:
            store.db.close()

    completing = threading.Thread(target=complete)
    with store.db.write() as tx:
        completing.start()
        while not manifest.exists():  # it is written once the package has passed its checks
            completing.join(0.01)
        keys.revoke(tx, DEVELOPER, "acme", signature.key_id(signature.raw_public_key(KEY)))
    completing.join()
    assert [refused.code for refused in refusals] == ["VALIDATION_ERROR"]
    assert "is revoked" in refusals[0].errors[0]
    assert not list(store.layout.area("packages").rglob("package.mosis"))


def test_an_upload_that_became_a_version_cannot_fail_afterwards(store: Store, tmp_path: Path) -> None:
    transfer = received(store, tmp_path)
    version = signed_uploads.complete(store, DEVELOPER, transfer.upload_id)
    upload = uploads.Upload(
        transfer.upload_id, apps.get(store.db.read(), APP_ID), store.layout.staging(transfer.upload_id)
    )
    uploads.fail(store, DEVELOPER, upload, ["late"])
    assert versions.get(store.db.read(), APP_ID, version.version_code) == version


def test_an_app_that_is_deleted_while_the_body_arrives_takes_no_version(store: Store, tmp_path: Path) -> None:
    add_developer(store, "acme")
    with store.db.write() as tx:
        app = apps.add(tx, DEVELOPER, APP_ID, "Reader", "")
    with pytest.raises(Refused) as refused, uploads.receiving(store, app) as upload:
        make_package(upload.package)
        deletion.delete_app(store, audit.OPERATOR, APP_ID, "By order of a court.")
        uploads.complete(store, DEVELOPER, upload, uploads.files.Received(1, uploads.files.digest(upload.package)))
    assert refused.value.code == "NOT_FOUND"
    assert not list(store.layout.area("temp").iterdir())
