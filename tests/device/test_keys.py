"""The first key is trusted on first use; another one needs the proof of the one before, or a person."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.device.conftest import Phone
from tests.device.shelf import ROTATED_KEY, Copy, Shelf, pin, rotation
from tests.packages.samples import APP_ID

THIRD_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
RECOVERY = pin(ROTATED_KEY, "recovery", 2)


@pytest.fixture
def pinned(shelf: Shelf, copy: Copy, phone: Phone) -> Phone:
    """A device that has version 1, signed with the first key."""
    shelf.publish(1)
    assert phone.install(copy).outcome == "installed"
    return phone


def test_a_rotation_is_followed(shelf: Shelf, copy: Copy, pinned: Phone) -> None:
    shelf.publish(2, key=ROTATED_KEY, keys=[pin(), rotation(2)])
    assert pinned.install(copy).version_code == 2
    shelf.publish(3, key=THIRD_KEY, keys=[pin(), rotation(2), rotation(3, ROTATED_KEY, THIRD_KEY)])
    assert pinned.install(copy).version_code == 3


def test_a_key_signs_only_the_versions_that_are_its_own(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1, key=ROTATED_KEY, keys=[pin(), rotation(2)])
    assert phone.install(copy).reason == "key-changed"
    shelf.publish(2, keys=[pin(), rotation(2)])
    assert phone.install(copy).reason == "key-changed"


UNPROVED: dict[str, list[dict[str, Any]]] = {
    "another pin": [pin(ROTATED_KEY)],
    "a second pin": [pin(), pin(ROTATED_KEY, "pin", 2)],
    "no old signature": [pin(), rotation(2) | {"old_signature": rotation(2)["new_signature"]}],
    "no new signature": [pin(), rotation(2) | {"new_signature": rotation(2)["old_signature"]}],
    "an earlier code": [pin(), rotation(5) | {"from_version_code": 2}],
    "another app's": [pin(), rotation(2, app_id="org.example.writer")],
    "not its id": [pin(), rotation(2) | {"public_key": pin(THIRD_KEY)["public_key"]}],
    "missing": [pin(), {"kind": "rotation"}],
    "none": [],
    "a code of text": [pin() | {"from_version_code": "1"}],
    "no text": [pin(), rotation(2) | {"old_signature": None}],
}


@pytest.mark.parametrize("keys", UNPROVED.values(), ids=UNPROVED)
def test_a_change_without_proof_is_refused(
    shelf: Shelf, copy: Copy, pinned: Phone, keys: list[dict[str, Any]]
) -> None:  # fmt: skip
    document = shelf.publish(2, key=ROTATED_KEY)
    document["signing"]["keys"] = keys
    shelf.sign()
    assert pinned.install(copy).reason == "key-changed"
    assert pinned.device.installed()[APP_ID]["keys"] == [pin()]


def test_a_history_that_lost_an_entry_is_refused(shelf: Shelf, copy: Copy, pinned: Phone) -> None:
    shelf.publish(2, key=ROTATED_KEY, keys=[pin(), rotation(2)])
    assert pinned.install(copy).version_code == 2
    shelf.publish(3, keys=[pin()])
    assert pinned.install(copy).reason == "key-changed"


def test_a_recovery_is_for_a_person_to_accept(shelf: Shelf, copy: Copy, pinned: Phone) -> None:
    shelf.publish(2, key=ROTATED_KEY, keys=[pin(), RECOVERY])
    outcome = pinned.install(copy)
    assert outcome.reason == "key-changed"
    assert f"--accept-key {RECOVERY['key_id']}" in str(outcome.detail)
    assert pinned.install(copy, accepted_key=pin(THIRD_KEY)["key_id"]).reason == "key-changed"
    assert pinned.install(copy, accepted_key=RECOVERY["key_id"]).version_code == 2
    shelf.publish(3, key=ROTATED_KEY)
    assert pinned.install(copy).version_code == 3, "once accepted it is remembered"


def test_a_recovery_of_the_past_is_trusted_on_first_use(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(2, key=ROTATED_KEY, keys=[pin(), RECOVERY])
    assert phone.install(copy).outcome == "installed"


def test_a_failed_installation_pins_nothing(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    document = shelf.publish(1, sha256="0" * 64)
    assert phone.install(copy).reason == "wrong-digest"
    document["releases"].clear()
    document["signing"]["keys"] = [pin(ROTATED_KEY)]
    shelf.publish(2, key=ROTATED_KEY)
    assert phone.install(copy).outcome == "installed"
