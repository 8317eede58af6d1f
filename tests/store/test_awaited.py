"""Uploads whose body a job brings: what their owner is answered, and in which order they are fetched."""

from pathlib import Path

import pytest

from portal.store import apps, awaited, signed_uploads
from portal.store.apps import App
from portal.store.audit import Actor
from portal.store.errors import Refused, Unavailable
from portal.store.signed_uploads import Transfer
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.clock import move
from tests.support.portal import add_developer

OWNER = Actor("acme", "developer", None, "test")


@pytest.fixture
def app(store: Store) -> App:
    add_developer(store, OWNER.developer_id)
    with store.db.write() as tx:
        return apps.add(tx, OWNER, APP_ID, "Reader", "")


def ids(found: list[Transfer]) -> list[str]:
    return [transfer.upload_id for transfer in found]


def brought(store: Store, transfer: Transfer, body: bytes) -> None:
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([body], atomic=True)


def test_a_body_is_fetched_when_its_owner_wants_it(store: Store, app: App, tmp_path: Path) -> None:
    make_package(tmp_path / "x.mosis")
    body = (tmp_path / "x.mosis").read_bytes()
    transfer = signed_uploads.issue(store, app, len(body), None, "mirror")
    db = store.db.read()
    assert awaited.is_any_open(db)
    assert awaited.wanted(db) == []
    with pytest.raises(Refused) as refused:  # whoever does not ask is not answered as if it had come
        signed_uploads.complete(store, OWNER, transfer.upload_id)
    assert refused.value.code == "UPLOAD_INCOMPLETE"
    for _ in range(2):
        assert awaited.want(store, transfer.upload_id)
    assert ids(awaited.wanted(db)) == [transfer.upload_id]
    brought(store, transfer, body)
    assert awaited.wanted(db) == []
    assert not awaited.is_any_open(db)
    assert not awaited.want(store, transfer.upload_id)
    assert signed_uploads.complete(store, OWNER, transfer.upload_id).status == "draft"


def test_an_upload_to_the_store_waits_for_nothing(store: Store, app: App) -> None:
    transfer = signed_uploads.issue(store, app, 10, None)
    assert not awaited.want(store, transfer.upload_id)
    assert not awaited.is_any_open(store.db.read())


def test_a_refusal_is_given_once_and_the_next_request_asks_again(store: Store, app: App) -> None:
    transfer = signed_uploads.issue(store, app, 10, None, "mirror")
    awaited.want(store, transfer.upload_id)
    awaited.refused(store, transfer, Refused("DIGEST_MISMATCH", "It is another one."))
    assert awaited.wanted(store.db.read()) == []
    with pytest.raises(Refused, match="It is another one") as refused:
        awaited.want(store, transfer.upload_id)
    assert refused.value.code == "DIGEST_MISMATCH"
    assert awaited.want(store, transfer.upload_id)
    assert ids(awaited.wanted(store.db.read())) == [transfer.upload_id]


def test_what_could_not_be_fetched_is_tried_again_after_all_others(
    store: Store, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (signed_uploads.issue(store, app, 10, None, "mirror") for _ in range(2))
    awaited.want(store, first.upload_id)
    move(monkeypatch, 1)
    awaited.want(store, second.upload_id)
    assert ids(awaited.wanted(store.db.read())) == [first.upload_id, second.upload_id]
    move(monkeypatch, 2)
    awaited.unavailable(store, first)
    assert ids(awaited.wanted(store.db.read())) == [second.upload_id, first.upload_id]
    for _ in range(2):
        with pytest.raises(Unavailable) as away:
            awaited.want(store, first.upload_id)
        assert (away.value.code, away.value.retry_after) == ("UNAVAILABLE", awaited.RETRY_SECONDS)


def test_an_upload_on_its_way_is_not_discarded_for_another_one(
    store: Store, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its URL has expired, but its body is in the bucket, and was asked for."""
    number = store.settings.open_uploads_max
    issued = [signed_uploads.issue(store, app, 10, None, "mirror") for _ in range(number)]
    awaited.want(store, issued[0].upload_id)
    move(monkeypatch, store.settings.upload_url_seconds + 1)
    signed_uploads.issue(store, app, 10, None)
    assert ids(awaited.wanted(store.db.read())) == [issued[0].upload_id]
    with pytest.raises(Refused) as gone:
        signed_uploads.find(store.db.read(), issued[1].upload_id)
    assert gone.value.code == "NOT_FOUND"
