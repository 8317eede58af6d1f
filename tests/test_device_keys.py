"""The code of docs/devices.md follows the keys of an app at a real store, and accepts no change without proof."""

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.http.test_app_keys import key_id, recover, register, rotate, signing, wait_a_week
from tests.support.pages import block
from tests.support.portal import Publisher

Entries = list[dict[str, Any]]


class Device:
    """The functions that the page prints, for one app."""

    def __init__(self, app_id: str) -> None:
        self._names: dict[str, Any] = {}
        exec(block("docs/devices.md", "keys", "python"), self._names)
        self._app_id = app_id
        self.Recovery: type[Exception] = self._names["Recovery"]

    def follow(self, known: Entries, offered: Entries) -> Entries:
        entries: Entries = self._names["follow"](self._app_id, known, offered)
        return entries

    def signer(self, entries: Entries, version_code: int) -> str:
        found: str = self._names["signer"](entries, version_code)
        return found


@pytest.fixture
def device(publisher: Publisher) -> Device:
    publisher.publish(1)
    return Device(publisher.app_id)


@pytest.fixture
def new_key(publisher: Publisher, device: Device) -> Ed25519PrivateKey:
    """The key that the app was handed over to, from version 5 on."""
    key = register(publisher)
    rotate(publisher, publisher.key, key, 5).raise_for_status()
    return key


def test_a_rotation_is_followed(publisher: Publisher, device: Device, new_key: Ed25519PrivateKey) -> None:
    offered = signing(publisher)["keys"]
    pinned = device.follow([], offered[:1])
    assert device.follow(pinned, offered) == device.follow([], offered) == offered
    assert device.signer(offered, 4) == key_id(publisher.key)
    assert device.signer(offered, 5) == key_id(new_key)


@pytest.mark.parametrize(
    ("field", "forged"),
    [("from_version_code", 2), ("old_signature", "A" * 86 + "=="), ("new_signature", "A" * 86 + "==")],
)
def test_a_rotation_that_is_not_signed_is_refused(
    publisher: Publisher, device: Device, new_key: Ed25519PrivateKey, field: str, forged: object
) -> None:
    pin, rotation = signing(publisher)["keys"]
    for known in ([], [pin]):
        with pytest.raises(InvalidSignature):
            device.follow(known, [pin, rotation | {field: forged}])


def test_another_history_is_refused(publisher: Publisher, device: Device, new_key: Ed25519PrivateKey) -> None:
    pin, rotation = signing(publisher)["keys"]
    for offered in ([], [pin], [rotation], [pin | {"key_id": rotation["key_id"]}, rotation]):
        with pytest.raises(ValueError, match="history"):
            device.follow([pin, rotation], offered)


def test_a_key_that_is_not_its_id_is_refused(publisher: Publisher, device: Device) -> None:
    [pin] = signing(publisher)["keys"]
    with pytest.raises(ValueError, match="its id"):
        device.follow([], [pin | {"key_id": "0" * 32}])


def test_a_recovery_is_for_a_person_to_accept(publisher: Publisher, device: Device) -> None:
    known = device.follow([], signing(publisher)["keys"])
    new = register(publisher)
    recover(publisher, new).raise_for_status()
    wait_a_week(publisher)
    offered = signing(publisher)["keys"]
    with pytest.raises(device.Recovery):
        device.follow(known, offered)
    assert device.follow(offered, offered) == offered, "once accepted it is remembered"
    assert device.signer(offered, 1) == key_id(new)
