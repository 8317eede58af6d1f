"""CBOR that could cost a decoder more than its length never reaches it."""

from typing import Any

import cbor2
import pytest

from portal.store import plain_cbor
from portal.store.authenticators import RelyingParty, registered
from portal.store.errors import Refused
from tests.support.authenticator import PRESENT, Authenticator, base64url

PARTY = RelyingParty("store.test", "https://store.test")
CHALLENGE = bytes(32)
OPTIONS = {"user": {"id": base64url(b"dev")}, "rp": {"id": PARTY.host}, "challenge": base64url(CHALLENGE)}
EXTENDED = 0x80


def doubling(levels: int) -> bytes:
    """Arrays of two equal arrays, down to one that is written once: 2 ** levels items, in 7 bytes per level."""
    data = b"\xd8\x1c\x81\x00"
    for level in range(levels, 0, -1):
        data = b"\xd8\x1c\x82" + data + b"\xd8\x1d\x18" + bytes([level])
    return data


AS_KEY, AS_VALUE = b"\xa1" + doubling(12) + b"\x00", b"\xa1\x00" + doubling(12)


def made_by(alter: Any) -> dict[str, Any]:
    """What an authenticator has made, with its attestation changed by `alter`."""
    made = Authenticator(PARTY.origin).make(OPTIONS)
    made["response"]["attestationObject"] = base64url(alter(made["response"]["attestationObject"]))
    return made


def whole(encoded: str) -> bytes:
    return cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": bytes(37)})[:-1] + b"\x00" + AS_KEY


def in_the_statement(encoded: str) -> bytes:
    return b"\xa3\x63fmt\x64none\x67attStmt" + AS_KEY + b"\x68authData" + cbor2.dumps(bytes(37))


def in_the_extensions(encoded: str) -> bytes:
    data = bytes(32) + bytes([PRESENT | EXTENDED]) + bytes(4) + AS_VALUE
    return cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})


def in_the_public_key(encoded: str) -> bytes:
    data = bytes(32) + bytes([PRESENT | 0x40]) + bytes(4) + bytes(18) + AS_KEY
    return cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})


@pytest.mark.parametrize("alter", [whole, in_the_statement, in_the_extensions, in_the_public_key])
def test_a_registration_that_would_never_end_is_refused(alter: Any) -> None:
    with pytest.raises(Refused) as refusal:
        registered(PARTY, CHALLENGE, made_by(alter))
    assert str(refusal.value.__cause__) == "the tag 28"  # the decoder has not seen it


def test_what_an_authenticator_makes_is_plain() -> None:
    assert registered(PARTY, CHALLENGE, Authenticator(PARTY.origin).make(OPTIONS)).credential_id


@pytest.mark.parametrize(
    "value",
    [{}, {"fmt": "packed", "attStmt": {"alg": -7, "sig": bytes(70), "x5c": [bytes(900)]}, "authData": bytes(37)},
     {1: 2, 3: -7, -1: 1, -2: bytes(32)}, [1, -(2**63), 2**64 - 1, True, None, 1.5, "text" * 20_000]],
)  # fmt: skip
def test_what_has_no_tags_is_plain(value: object) -> None:
    plain_cbor.items(cbor2.dumps(value))


@pytest.mark.parametrize(
    "data",
    [b"\x9f\x00\xff", b"\x5f\x41\x00\xff", b"\x41", b"\x18", b"\x82\x00", b"\xa1\x00", b"\xbb" + b"\xff" * 8,
     b"\x81" * 5 + b"\x00", b"\xc2\x41\x00", AS_KEY, AS_VALUE],
)  # fmt: skip
def test_what_is_cut_short_or_deep_or_has_tags_is_not(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        plain_cbor.items(data)


@pytest.mark.parametrize("data", [b"", bytes(32), bytes(32) + b"\x80" + bytes(4) + AS_KEY])
def test_authenticator_data_is_looked_into(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        plain_cbor.authenticator_data(data)
