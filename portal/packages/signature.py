"""Ed25519 signatures (RFC 8032): the statements that are signed, and the file that has the signature."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from portal.packages import documents
from portal.packages.errors import SignatureInvalid

PATH = "META-INF/mosis.sig"
MAX_BYTES = 1024
HEADER_LINES = 4  # of a package's statement, before its entries

KeyId = Annotated[
    str, Field(strict=True, pattern="^[0-9a-f]{32}$", description="the first 32 hex digits of SHA-256(public key)")
]

_PRIME = 2**255 - 19
_SMALL_ORDER = {
    0,
    1,
    _PRIME - 1,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
}  # y of the eight low-order points, for which signatures can be forged (RFC 7748, section 7; libsodium's list)


def _decode(encoded: str, length: int) -> bytes:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None
    if len(raw) != length:
        raise ValueError(f"is {len(raw)} bytes long instead of {length}")
    if base64.b64encode(raw).decode() != encoded:
        raise ValueError("is not canonical base64")
    return raw


def _signature(encoded: str) -> str:
    _decode(encoded, 64)
    return encoded


class ContentDigest(NamedTuple):
    """One entry of a package in the statement: `size` is in bytes, unpacked; `sha256` is hex."""

    path: str
    size: int
    sha256: str


class SignatureFile(BaseModel):
    """The content of `META-INF/mosis.sig`; `signature` is base64."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    alg: Literal["ed25519"]
    key_id: KeyId
    signature: Annotated[str, AfterValidator(_signature)]

    def to_json(self) -> bytes:
        """Serialize to the bytes of the file."""
        return json.dumps(self.model_dump(), indent=1).encode() + b"\n"


def key_id(public_key: bytes) -> str:
    """The first 16 bytes, in hex, of the SHA-256 of a public key (32 raw bytes)."""
    return hashlib.sha256(public_key).digest()[:16].hex()


def statement(app_id: str, version_name: str, version_code: int, contents: Iterable[ContentDigest]) -> bytes:
    """The bytes that a package's signature signs: its identity and every entry except the signature file."""
    lines = [f"MOSIS-PACKAGE-V1\n{app_id}\n{version_name}\n{version_code}\n".encode()]
    for digest in sorted(contents, key=lambda digest: digest.path.encode()):
        lines.append(f"{digest.sha256}  {digest.size}  {digest.path}\n".encode())
    return b"".join(lines)


def registration_statement(developer_id: str, key_id: str) -> bytes:
    """The bytes that a developer signs to prove possession of the private key when registering a public key."""
    return f"MOSIS-KEY-REGISTER-V1\n{developer_id}\n{key_id}\n".encode()


def rotation_statement(app_id: str, old_key_id: str, new_key_id: str, from_version_code: int) -> bytes:
    """The bytes that both keys sign to rotate an app's key: the new key signs from `from_version_code` on."""
    return f"MOSIS-KEY-ROTATE-V1\n{app_id}\n{old_key_id}\n{new_key_id}\n{from_version_code}\n".encode()


def sign(private_key: Ed25519PrivateKey, statement: bytes) -> str:
    """Sign `statement`; the signature is base64."""
    return base64.b64encode(private_key.sign(statement)).decode()


def verify(public_key: bytes, signature: str, statement: bytes) -> None:
    """Verify `signature` (base64) over `statement` with `public_key` (32 raw bytes). Raises SignatureInvalid."""
    try:
        raw = _decode(signature, 64)
    except ValueError as error:
        raise SignatureInvalid([f"The signature {error}."]) from None
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, statement)
    except InvalidSignature:
        raise SignatureInvalid(["The signature does not match the signed content."]) from None


def raw_public_key(private_key: Ed25519PrivateKey) -> bytes:
    """The public key of a private key, 32 raw bytes."""
    return private_key.public_key().public_bytes_raw()


def decode_public_key(encoded: str) -> bytes:
    """Decode a base64 public key to its 32 raw bytes.

    Raises ValueError, its message a predicate, unless it is a key, and one for which signatures cannot be forged.
    """
    raw = _decode(encoded, 32)
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _PRIME or y in _SMALL_ORDER:
        raise ValueError("is a weak or non-canonical Ed25519 public key")
    return raw


def parse(data: bytes) -> SignatureFile:
    """Parse and validate the bytes of `META-INF/mosis.sig`. Raises PackageRejected with every reason."""
    return documents.parse(SignatureFile, data, path=PATH, max_bytes=MAX_BYTES)
