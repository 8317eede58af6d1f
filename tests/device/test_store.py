"""A device follows a real store: its portal, its catalogue job, its keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.jobs import catalogue_keys
from portal.jobs.catalogue import catalogue
from tests.device.conftest import Phone
from tests.http.test_app_keys import register, rotate
from tests.support.portal import Portal, Publisher, free_port, make_store, only_publisher

ROOT_KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    """A store of its own with keys of a catalogue."""
    store = make_store(tmp_path / "store", port=free_port())
    with Portal(store) as portal:
        catalogue_keys.make(store, [ROOT_KEY])
        with only_publisher(portal, tmp_path, "admin") as made:
            yield made
        store.db.close()


@pytest.fixture
def phone(publisher: Publisher, tmp_path: Path) -> Phone:
    sign(publisher)
    return Phone(tmp_path / "phone", (publisher.portal.store.layout.catalogue / "metadata/1.root.json").read_bytes())


def sign(publisher: Publisher) -> None:
    catalogue(publisher.portal.store)


def test_publish_rotate_yank(publisher: Publisher, phone: Phone) -> None:
    url, app_id, store = publisher.portal.url, publisher.app_id, publisher.portal.store
    publisher.publish(1, payload_bytes=300_000)
    sign(publisher)
    assert phone.install(url, app_id=app_id).outcome == "installed"

    new_key = register(publisher)
    rotate(publisher, publisher.key, new_key, 2).raise_for_status()
    publisher.publish(2, key=new_key, min_api=30)
    sign(publisher)
    assert phone.install(url, app_id=app_id, api=29).outcome == "current"
    assert phone.install(url, app_id=app_id, api=30).version_code == 2

    catalogue_keys.renew(store, [ROOT_KEY], new_root_keys=[Ed25519PrivateKey.generate()], new_store_key=True)
    publisher.publish(3, key=new_key)
    sign(publisher)
    assert phone.install(url, app_id=app_id, api=30).version_code == 3

    publisher.step(3, "yank", reason="It crashes.").raise_for_status()
    sign(publisher)
    outcome = phone.install(url, app_id=app_id, api=30)
    assert (outcome.outcome, outcome.version_code) == ("current", 3)
    assert phone.said[-1].endswith("is withdrawn: It crashes.")
