"""An app that goes to another developer: addresses and key stay, and so does every file, whatever is cut short."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.jobs import rebuild
from portal.packages import signature
from portal.recovery import records
from portal.store import (
    apps,
    audit,
    deletion,
    developers,
    key_changes,
    keys,
    leftovers,
    tokens,
    transfers,
    uploads,
    versions,
)
from portal.store.errors import Refused
from portal.store.files import Received, digest
from portal.store.store import Store, open_store
from tests.packages.samples import APP_ID, KEY, make_package
from tests.support.portal import add_developer, registration
from tests.support.publishing import OWNER, add_app, change, publish

ADMIN = audit.Actor("admin", "admin", None, "test")
BUYER = audit.Actor("buyer", "developer", None, "test")


@pytest.fixture
def sold(store: Store) -> Store:
    """The app with one published version has gone from acme to buyer."""
    add_developer(store, "acme")
    add_developer(store, "buyer", key=None)
    add_app(store, APP_ID)
    publish(store, APP_ID, 1)
    records.catch_up(store)
    transfers.transfer(store, ADMIN, APP_ID, "buyer", "Sold.")
    return store


def upload(store: Store, code: int, key: Ed25519PrivateKey = KEY) -> Path:
    """By whoever owns the app."""
    with uploads.receiving(store, apps.get(store.db.read(), APP_ID)) as incoming:
        make_package(incoming.package, version_code=code, key=key)
        received = Received(incoming.package.stat().st_size, digest(incoming.package))
        version = uploads.complete(store, BUYER, incoming, received)
    return store.layout.package(version.developer_id, APP_ID, code)


def test_what_was_published_stays_where_devices_have_it(sold: Store) -> None:
    version = versions.get(sold.db.read(), APP_ID, 1)
    assert version.developer_id == "acme"
    assert sold.layout.package("acme", APP_ID, 1).exists()
    assert apps.get(sold.db.read(), APP_ID).developer_id == "buyer"
    with pytest.raises(Refused, match="There is no app"):
        apps.owned(sold.db.read(), APP_ID, "acme")


def test_the_key_of_the_app_signs_until_the_new_owner_rotates_it(sold: Store) -> None:
    assert upload(sold, 2) == sold.layout.package("buyer", APP_ID, 2)
    for action in ("submit", "publish"):
        change(sold, APP_ID, 2, action)
    new = Ed25519PrivateKey.generate()
    with sold.db.write() as tx:
        key = keys.register(tx, BUYER, "buyer", **registration("buyer", new))
        old = signature.key_id(signature.raw_public_key(KEY))
        statement = signature.rotation_statement(APP_ID, old, key.key_id, 3)
        app = apps.get(tx, APP_ID)
        signed = signature.sign(KEY, statement), signature.sign(new, statement)
        key_changes.rotate(tx, BUYER, app, key.key_id, 3, *signed)
    upload(sold, 3, new)


def test_the_new_owner_repeats_no_upload_of_the_owner_before(sold: Store) -> None:
    """The same bytes: who uploads them again after a lost answer gets the version, but only who uploaded them."""
    with pytest.raises(Refused, match="must be greater than 1"):
        upload(sold, 1)


def test_another_key_of_the_owner_before_signs_nothing(sold: Store) -> None:
    other = Ed25519PrivateKey.generate()
    with sold.db.write() as tx:
        keys.register(tx, OWNER, "acme", **registration("acme", other))
    with pytest.raises(Refused) as refused:
        upload(sold, 2, other)
    assert "another developer" in str(refused.value.errors)


def test_a_revoked_key_signs_nothing_for_the_new_owner_either(sold: Store) -> None:
    with sold.db.write() as tx:
        keys.revoke(tx, OWNER, "acme", signature.key_id(signature.raw_public_key(KEY)))
    with pytest.raises(Refused) as refused:
        upload(sold, 2)
    assert "revoked" in str(refused.value.errors)


def test_the_key_of_the_app_outlives_the_account_of_the_owner_before(sold: Store) -> None:
    """Somebody leaves: the apps are transferred, then the account is disabled."""
    other = Ed25519PrivateKey.generate()
    with sold.db.write() as tx:
        keys.register(tx, OWNER, "acme", **registration("acme", other))
        developers.disable(tx, ADMIN, "acme", "Left.")
        revoked = {key.key_id for key in keys.of_developer(tx, "acme") if key.revoked_at is not None}
    assert revoked == {signature.key_id(signature.raw_public_key(other))}
    upload(sold, 2)
    for action in ("submit", "publish"):
        change(sold, APP_ID, 2, action)


def test_a_request_under_way_places_nothing_for_a_disabled_developer(store: Store) -> None:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    add_developer(store, "buyer", key=None)
    publish(store, APP_ID, 1)
    with uploads.receiving(store, apps.get(store.db.read(), APP_ID)) as incoming:
        make_package(incoming.package, version_code=2)
        received = Received(incoming.package.stat().st_size, digest(incoming.package))
        transfers.transfer(store, ADMIN, APP_ID, "buyer", "Sold.")
        with store.db.write() as tx:
            developers.disable(tx, ADMIN, "acme", "Left.")
        with pytest.raises(Refused):
            uploads.complete(store, OWNER, incoming, received)
    assert [one.version_code for one in versions.of_app(store.db.read(), APP_ID)] == [1]


def test_tokens_and_uploads_of_the_owner_before_end(store: Store) -> None:
    add_developer(store, "acme")
    add_developer(store, "buyer", key=None)
    add_app(store, APP_ID)
    with store.db.write() as tx:
        _, text = tokens.issue_own(tx, OWNER, APP_ID, 1)
    assert tokens.authenticate(store.db.read(), text)
    opened = uploads.new(store, apps.get(store.db.read(), APP_ID))
    uploads.begin(store, opened)
    transfers.transfer(store, ADMIN, APP_ID, "buyer", "Sold.")
    assert tokens.authenticate(store.db.read(), text) is None
    assert uploads.version_of(store.db.read(), opened.upload_id) is None
    late = uploads.Upload("0" * 32, opened.app, store.layout.staging("0" * 32))
    with pytest.raises(Refused, match="There is no app"):  # of a request that read the app before
        uploads.begin(store, late)


def test_who_cannot_have_an_app(sold: Store) -> None:
    with pytest.raises(Refused, match="no developer nobody"):
        transfers.transfer(sold, ADMIN, APP_ID, "nobody", "Sold.")
    with sold.db.write() as tx:
        developers.disable(tx, ADMIN, "acme", "Left.")
    with pytest.raises(Refused, match="is disabled"):
        transfers.transfer(sold, ADMIN, APP_ID, "acme", "Sold.")
    with pytest.raises(Refused, match="reason"):
        transfers.transfer(sold, ADMIN, APP_ID, "acme", " ")


@pytest.mark.parametrize("cut_off", [False, True])
def test_a_rebuild_knows_the_new_owner_and_each_version(sold: Store, tmp_path: Path, *, cut_off: bool) -> None:
    """Also where the record of the owner before is still there."""
    upload(sold, 2)
    stale = sold.layout.area("packages") / "acme" / APP_ID / records.APP
    assert not stale.exists()
    records.catch_up(sold)
    with sold.db.write() as tx:
        tx.execute("UPDATE apps SET updated_at = updated_at - 1, developer_id = 'acme'")
        old = records.to_json(records._rows(tx, records.APP, APP_ID))
        tx.execute("UPDATE apps SET updated_at = updated_at + 1, developer_id = 'buyer'")
    if cut_off:
        stale.write_bytes(old)
    assert leftovers.unnamed(sold) == []
    sold.db.close()
    report = rebuild.rebuild(sold.settings, replace_database=True, ignore_copies=True)
    assert report.left_out == []
    db = open_store(sold.settings).db.read()
    assert apps.get(db, APP_ID).developer_id == "buyer"
    assert [(one.version_code, one.developer_id) for one in versions.placed_of_app(db, APP_ID)] == [
        (1, "acme"), (2, "buyer"),
    ]  # fmt: skip


def test_a_tombstone_outlives_a_record_that_was_left(sold: Store, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    records.catch_up(sold)
    shutil.copytree(sold.layout.area("packages"), kept)
    deletion.delete_app(sold, ADMIN, APP_ID, "By order of a court.")
    records.catch_up(sold)
    for path in kept.glob(f"*/{APP_ID}"):
        shutil.copytree(path, sold.layout.area("packages") / path.relative_to(kept))
    sold.db.close()
    rebuild.rebuild(sold.settings, replace_database=True, ignore_copies=True)
    db = open_store(sold.settings).db.read()
    with pytest.raises(Refused, match="There is no app"):
        apps.get(db, APP_ID)
    assert db.execute("SELECT count(*) FROM versions").fetchone()[0] == 0
