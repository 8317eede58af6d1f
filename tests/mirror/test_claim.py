"""One host copies to a bucket at a time, and no record is believed that does not describe what is there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.jobs import mirror
from portal.jobs.mirror import DELETE_AFTER_SECONDS
from portal.mirror import claim, objects, offload
from portal.mirror.claim import MARKER
from portal.mirror.client import Bucket, MirrorError
from portal.recovery import lineage
from portal.settings import S3
from portal.store import apps, assets, audit, versions
from portal.store.store import Store, open_store
from tests.mirror.r2_like import r2_like
from tests.support.clock import move
from tests.support.many import OWNER, fill
from tests.support.portal import make_store

APP = "org.example.app0"
PACKAGE = f"packages/acme/{APP}/1/package.mosis"
TAKEN = "another host of this store, or a later copy of its database, has taken it over"


@pytest.fixture
def store(tmp_path: Path, empty: S3) -> Iterator[Store]:
    settings = {"mirror": empty.model_dump(mode="json") | {"public_url": "https://cdn.example.org"}}
    made = make_store(tmp_path / "store", **settings, download="redirect")
    fill(made, 2, 2)
    mirror.mirror(made)
    yield made
    made.db.close()


def copy_of(store: Store, directory: Path) -> Store:
    """The same store on another host, which has no record of the bucket."""
    shutil.copytree(store.layout.root, directory, ignore=shutil.ignore_patterns("mirror.db*"))
    return open_store(store.settings.model_copy(update={"root": directory}))


def promote(store: Store) -> None:
    with store.db.write() as tx:
        audit.append(tx, audit.OPERATOR, lineage.PROMOTED, "store", timeline=lineage.point(tx).timeline + 1)


def test_of_two_hosts_the_one_that_was_promoted_copies(store: Store, tmp_path: Path) -> None:
    standby = copy_of(store, tmp_path / "standby")
    promote(standby)
    assert mirror.mirror(standby).strangers == []
    for _ in range(2):
        with pytest.raises(MirrorError, match=TAKEN):
            mirror.mirror(store)
        mirror.mirror(standby)
    for _ in range(2):  # the way back: it followed the other one, and is promoted again
        promote(store)
    mirror.mirror(store)
    with pytest.raises(MirrorError, match=TAKEN):
        mirror.mirror(standby)
    standby.db.close()


def test_two_copies_of_one_disk_do_not_take_turns(store: Store, tmp_path: Path) -> None:
    """Without a record the second one takes the bucket over, as a host must that lost its own; then it is settled."""
    clone = copy_of(store, tmp_path / "clone")
    mirror.mirror(clone)
    with pytest.raises(MirrorError, match=rf"{TAKEN}; .* run `mosis mirror --adopt`"):
        mirror.mirror(store)
    mirror.mirror(store, adopt=True)
    with pytest.raises(MirrorError, match=TAKEN):
        mirror.mirror(clone)
    clone.db.close()


def test_a_host_whose_bucket_is_taken_during_a_run_deletes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.db.write() as tx:
        versions.change(tx, OWNER, apps.get(tx, APP), 1, "yank", "broken")
    mirror.mirror(store)
    standby = copy_of(store, tmp_path / "standby")
    promote(standby)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    count = claim.count_deletion

    def late(*given: object) -> None:
        mirror.mirror(standby)
        count(*given)

    with monkeypatch.context() as patch, pytest.raises(MirrorError, match=TAKEN):
        patch.setattr(claim, "count_deletion", late)
        mirror.mirror(store, force=True)
    assert PACKAGE in {found.key for found in objects.listed(bucket_of(store))}
    mirror.mirror(standby)
    standby.db.close()


def test_a_restore_on_this_host_changes_nothing(store: Store, empty: S3) -> None:
    promote(store)
    with r2_like(empty) as proxy:
        own = store.settings.model_copy(update={"mirror": proxy.engine})
        for _ in range(2):
            mirror.mirror(open_store(own))
    assert [method for method, _, _ in proxy.requests] == ["GET", "PUT", "GET"], "the marker has the timeline now"


def test_a_run_that_is_killed_while_it_takes_a_bucket_is_continued(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket_of(store).call("put_object", Key=MARKER, Body=b"other")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(claim.Record, "reset", killed)
        mirror.mirror(store, adopt=True)
    mirror.mirror(store)


@pytest.mark.parametrize("marker", [b"", b"[]", b'"text"', b'{"store": 1}', b"\xff"])
def test_a_marker_that_nobody_can_read_is_anothers(store: Store, marker: bytes) -> None:
    bucket_of(store).call("put_object", Key=MARKER, Body=marker)
    with pytest.raises(MirrorError, match="the mirror of another store"):
        mirror.mirror(store)


def bucket_of(store: Store) -> Bucket:
    assert store.settings.mirror
    return Bucket(store.settings.mirror)


def test_the_marker_of_the_release_before_is_understood(store: Store) -> None:
    with_claim = bucket_of(store).call("get_object", Key=MARKER)["Body"].read().decode()
    bucket_of(store).call("put_object", Key=MARKER, Body=with_claim.replace(', "timeline": 0, "deletions": 0', ""))
    assert mirror.mirror(store) == mirror.Report()


def test_a_record_from_an_older_copy_of_the_disk_sends_nobody_to_what_was_deleted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database and record are those of before the yank: both say that the bucket has the version."""
    store.db.read().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    older = tmp_path / "older"
    shutil.copytree(store.layout.area("data"), older)
    with store.db.write() as tx:
        versions.change(tx, OWNER, apps.get(tx, APP), 1, "yank", "broken")
    mirror.mirror(store)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    assert PACKAGE in mirror.mirror(store, force=True).deleted
    store.db.close()
    shutil.rmtree(store.layout.area("data"))
    shutil.copytree(older, store.layout.area("data"))
    monkeypatch.undo()
    again = open_store(store.settings)
    assert PACKAGE in mirror.mirror(again).copied
    found = versions.get(again.db.read(), APP, 1)
    assert (url := offload.package_url(again, found)) and url.endswith(PACKAGE)
    assert objects.find(bucket_of(again), PACKAGE, size=found.size, sha256=found.sha256)
    again.db.close()


def test_a_run_that_deletes_nothing_leaves_the_marker_alone(store: Store, empty: S3) -> None:
    assets.add_screenshot(store, OWNER, apps.get(store.db.read(), APP), b"new")
    with r2_like(empty) as proxy:
        mirror.mirror(open_store(store.settings.model_copy(update={"mirror": proxy.engine})))
    assert not [path for method, path, _ in proxy.requests if method == "PUT" and path.endswith(MARKER)]


def test_nobody_is_sent_to_a_bucket_that_was_deleted(store: Store) -> None:
    found = versions.get(store.db.read(), APP, 1)
    assert offload.package_url(store, found)
    bucket = bucket_of(store)
    for one in objects.listed(bucket):
        bucket.call("delete_object", Key=one.key)
    bucket.call("delete_bucket")
    with pytest.raises(MirrorError, match="NoSuchBucket"):
        mirror.mirror(store)
    assert offload.package_url(store, found) is None
    bucket.call("create_bucket")
    mirror.mirror(store)
    assert offload.package_url(store, found)
