"""Objects that nothing names go late if the log shows that they are this store's; everything else is never touched."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.jobs import mirror
from portal.jobs.mirror import DELETE_AFTER_SECONDS
from portal.mirror import objects, wanted
from portal.mirror.claim import MARKER
from portal.mirror.client import Bucket, MirrorError
from portal.settings import S3
from portal.store import apps, assets, audit, versions
from portal.store.store import Store
from tests.support.clock import move
from tests.support.many import OWNER, fill
from tests.support.portal import make_store

APP = "org.example.app0"
PACKAGE, MANIFEST = (f"packages/acme/{APP}/1/{name}" for name in ("package.mosis", "manifest.json"))
SHA256 = hashlib.sha256(b"dear").hexdigest()


@pytest.fixture
def store(tmp_path: Path, empty: S3) -> Iterator[Store]:
    """Mirrored: two apps of two versions each."""
    made = make_store(tmp_path / "store", mirror=empty.model_dump(mode="json"))
    fill(made, 2, 2)
    mirror.mirror(made)
    yield made
    made.db.close()


def bucket_of(store: Store) -> Bucket:
    assert store.settings.mirror
    return Bucket(store.settings.mirror)


def keys(store: Store) -> set[str]:
    return {found.key for found in objects.listed(bucket_of(store)) if found.key != MARKER}


def lose_the_record(store: Store) -> None:
    for path in store.layout.area("data").glob("mirror.db*"):
        path.unlink()


def log(store: Store, action: str, **detail: object) -> None:
    """A row about version 1."""
    with store.db.write() as tx:
        audit.append(tx, OWNER, action, f"{APP}/1", **detail)


def yank(store: Store) -> None:
    with store.db.write() as tx:
        versions.change(tx, OWNER, apps.get(tx, APP), 1, "yank", "broken")


def expire(store: Store, label: str = "superseded") -> None:
    with store.db.write() as tx:
        tx.execute("DELETE FROM versions WHERE app_id = ? AND version_code = 1", (APP,))
    log(store, "version.expire", rule=label)


def later(store: Store, monkeypatch: pytest.MonkeyPatch) -> mirror.Report:
    """A run now, and what one reports when everything unwanted is due."""
    mirror.mirror(store, verify=True)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    return mirror.mirror(store, verify=True, force=True)


def test_a_version_that_was_yanked_while_the_record_was_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    yank(store)
    lose_the_record(store)
    before = keys(store)
    assert mirror.mirror(store).strangers == []
    assert keys(store) == before, "not yet"
    assert later(store, monkeypatch).deleted == [MANIFEST, PACKAGE]
    assert keys(store) == before - {PACKAGE, MANIFEST}


def test_a_version_that_expired_while_the_record_was_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is gone: only the log says what it was."""
    digests = {key: objects.digest(bucket_of(store), key) for key in (PACKAGE, MANIFEST)}
    log(store, "version.upload", sha256=digests[PACKAGE], manifest_sha256=digests[MANIFEST])
    log(store, "version.publish")
    expire(store)
    lose_the_record(store)
    assert later(store, monkeypatch).deleted == [MANIFEST, PACKAGE]


def test_an_image_that_was_replaced_while_the_record_was_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    app = apps.get(store.db.read(), APP)
    assets.put_icon(store, OWNER, app, {64: b"old"})
    old = mirror.mirror(store).copied
    assets.put_icon(store, OWNER, app, {64: b"new"})
    lose_the_record(store)
    assert later(store, monkeypatch).deleted == old


def test_what_a_killed_run_wrote_but_did_not_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    app = apps.get(store.db.read(), APP)
    assets.add_screenshot(store, OWNER, app, b"short-lived")
    found = wanted.of_app(store.db.read(), store.layout, APP)
    [written] = found.keys() - keys(store)
    objects.ensure(bucket_of(store), found[written])
    assets.delete_screenshot(store, OWNER, app, 2)
    assert later(store, monkeypatch).deleted == [written]


STRANGERS = {
    "a key of somebody else's": ("family/photo.jpg", SHA256),
    "a key of somebody else's below ours": ("packages/photo.jpg", SHA256),
    "a version that the log does not know": (f"packages/acme/{APP}/99/package.mosis", SHA256),
    "other content in place of a yanked version": (PACKAGE, SHA256),
    "no digest in place of a yanked version": (PACKAGE, None),
    "the digest of the package in place of its manifest": (MANIFEST, "of the package"),
    "an image that the log does not know": (f"assets/{APP}/icon-64.{SHA256[:16]}.png", SHA256),
    "a key of every kind of character": ("packages/a b+c%20ü&<>\t\x01'\"/1/package.mosis", SHA256),
}


@pytest.mark.parametrize(("key", "sha256"), STRANGERS.values(), ids=STRANGERS.keys())
def test_what_is_not_shown_to_be_ours_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch, key: str, sha256: str | None
) -> None:
    bucket = bucket_of(store)
    if sha256 == "of the package":
        sha256 = objects.digest(bucket, PACKAGE)
    yank(store)
    lose_the_record(store)
    bucket.call("put_object", Key=key, Body=b"dear", Metadata={"sha256": sha256} if sha256 else {})
    done = later(store, monkeypatch)
    assert done.strangers == [key]
    assert bucket.call("get_object", Key=key)["Body"].read() == b"dear"
    assert set(done.deleted) == {PACKAGE, MANIFEST} - {key}


def test_a_version_of_a_time_that_a_restore_undid_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another draft with its code came and went since; the bucket has the last copy of the one that was published."""
    with store.db.write() as tx:
        tx.execute("DELETE FROM versions WHERE app_id = ? AND version_code = 1", (APP,))
    log(store, "version.upload", sha256=objects.digest(bucket_of(store), PACKAGE))
    log(store, "version.reject")
    log(store, "version.expire", rule="rejected")
    lose_the_record(store)
    done = later(store, monkeypatch)
    assert (done.strangers, done.deleted) == ([MANIFEST, PACKAGE], [])


def test_what_somebody_else_writes_in_place_of_an_orphan_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    yank(store)
    mirror.mirror(store)
    bucket_of(store).call("put_object", Key=PACKAGE, Body=b"dear")
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    monkeypatch.setattr(mirror, "VERIFY_SECONDS", 100 * DELETE_AFTER_SECONDS)
    assert mirror.mirror(store, force=True).deleted == [MANIFEST]
    assert mirror.mirror(store, verify=True).strangers == [PACKAGE]


def test_orphans_have_the_guards_of_every_deletion(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    yank(store)
    lose_the_record(store)
    before = keys(store)
    mirror.mirror(store)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    with pytest.raises(MirrorError, match="Nothing was deleted from the bucket"):
        mirror.mirror(store)
    assert keys(store) == before
    monkeypatch.setattr(mirror, "DELETE_MAX", 1)
    monkeypatch.setattr(mirror, "DELETE_PART_MAX", 0.1)
    monkeypatch.setattr("portal.store.clock.synchronized", lambda: True)
    with pytest.raises(MirrorError, match="are to be deleted, and none was"):
        mirror.mirror(store)
    assert keys(store) == before
