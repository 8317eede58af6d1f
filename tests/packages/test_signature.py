"""Statements and signatures, down to the byte."""

import base64
import json
from hashlib import sha256

import pytest

from portal.packages import signature
from portal.packages.errors import PackageRejected, SignatureInvalid

from .samples import KEY

PUBLIC_KEY = signature.raw_public_key(KEY)
ZEROS = base64.b64encode(bytes(64)).decode()
VALID = {"alg": "ed25519", "key_id": "0123456789abcdef" * 2, "signature": ZEROS}


def test_key_id() -> None:
    assert signature.key_id(PUBLIC_KEY) == sha256(PUBLIC_KEY).hexdigest()[:32]


def test_statement_is_sorted_by_the_bytes_of_paths() -> None:
    names = ["b", "a", "a/b", "a.b", "Z", "é", "z", "\U0001f600", "\uffef"]
    digests = [signature.ContentDigest(name, 3, "00" * 32) for name in names]
    expected = b"MOSIS-PACKAGE-V1\norg.example.app\n1.0.0\n12\n"
    for name in sorted(name.encode() for name in names):
        expected += b"00" * 32 + b"  3  " + name + b"\n"
    assert signature.statement("org.example.app", "1.0.0", 12, digests) == expected


def test_other_statements() -> None:
    assert signature.registration_statement("dev", "ab") == b"MOSIS-KEY-REGISTER-V1\ndev\nab\n"
    assert signature.rotation_statement("a.b", "01", "02", 7) == b"MOSIS-KEY-ROTATE-V1\na.b\n01\n02\n7\n"


def test_sign_and_verify() -> None:
    signed = signature.sign(KEY, b"statement")
    signature.verify(PUBLIC_KEY, signed, b"statement")
    with pytest.raises(SignatureInvalid, match="does not match"):
        signature.verify(PUBLIC_KEY, signed, b"Statement")


@pytest.mark.parametrize("encoded", ["", "x", "AAAA", ZEROS[:-2], ZEROS + "\n", ZEROS[:-3] + "B==", "ä" * 88])
def test_malformed_signatures(encoded: str) -> None:
    with pytest.raises(SignatureInvalid, match=r"base64|bytes long"):
        signature.verify(PUBLIC_KEY, encoded, b"statement")
    with pytest.raises(PackageRejected, match='"signature"'):
        signature.parse(json.dumps(VALID | {"signature": encoded}).encode())


def test_parse() -> None:
    file = signature.parse(json.dumps(VALID).encode())
    assert signature.parse(file.to_json()) == file


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"alg": "none"}, '"alg"'),
        ({"alg": "ED25519"}, '"alg"'),
        ({"alg": None}, '"alg"'),
        ({"key_id": "0" * 31}, '"key_id" must be'),
        ({"key_id": "A" * 32}, '"key_id" must be'),
        ({"key_id": "0" * 32 + "\n"}, '"key_id" must be'),
        ({"key_id": 1}, '"key_id"'),
        ({"signature": [ZEROS]}, '"signature"'),
        ({"more": 1}, '"more" is not a known key\\.'),
    ],
)
def test_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(PackageRejected, match=reason):
        signature.parse(json.dumps(VALID | change).encode())


def test_too_long() -> None:
    with pytest.raises(PackageRejected, match="1024 allowed"):
        signature.parse(json.dumps(VALID).encode() + b" " * 1000)


def test_public_key() -> None:
    assert signature.decode_public_key(base64.b64encode(PUBLIC_KEY).decode()) == PUBLIC_KEY


@pytest.mark.parametrize("encoded", ["", "AAAA", base64.b64encode(bytes(33)).decode(), "not base64!"])
def test_no_public_key(encoded: str) -> None:
    with pytest.raises(ValueError, match=r"bytes long|base64"):
        signature.decode_public_key(encoded)


WEAK = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
]


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("point", WEAK)
def test_weak_public_keys(point: str, sign_bit: int) -> None:
    """Keys for which a signature that nobody made holds for many a message."""
    raw = bytearray.fromhex(point)
    raw[31] |= sign_bit
    forged = base64.b64encode(bytes([1] + [0] * 63)).decode()
    held = 0
    for number in range(64):
        try:
            signature.verify(bytes(raw), forged, b"%d" % number)
        except SignatureInvalid:
            continue
        held += 1
    encodes_a_point = not (sign_bit and point in WEAK[1:3])  # x is 0 there, and has no sign
    assert held or not encodes_a_point
    with pytest.raises(ValueError, match="weak or non-canonical"):
        signature.decode_public_key(base64.b64encode(raw).decode())


@pytest.mark.parametrize("y", [2**255 - 19, 2**255 - 18, 2**255 - 1])
def test_non_canonical_public_keys(y: int) -> None:
    with pytest.raises(ValueError, match="weak or non-canonical"):
        signature.decode_public_key(base64.b64encode(y.to_bytes(32, "little")).decode())
