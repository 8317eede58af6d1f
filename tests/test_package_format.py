"""docs/package-format.md is enough to write a signer and a verifier: its code and vectors agree with the store's."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import build, package, signature
from tests.support.pages import block

PAGE = "docs/package-format.md"
Verify = Callable[[Path, bytes], dict[str, Any]]


VECTOR = json.loads(block(PAGE, "vector", "json"))
OTHERS = json.loads(block(PAGE, "other vectors", "json"))
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTOR["private_key"]))
NEW_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(OTHERS["new_private_key"]))
PUBLIC_KEY = base64.b64decode(VECTOR["public_key"])


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """The package of the vector, packed and signed as `mosis` does it."""
    for name, content in VECTOR["files"].items():
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    made = tmp_path / "app.mosis"
    build.pack(tmp_path / "app", made)
    build.sign(made, KEY)
    return made


@pytest.fixture
def verify() -> Verify:
    """The function that the page prints."""
    names: dict[str, Any] = {}
    exec(block(PAGE, "verifier", "python"), names)
    found: Verify = names["verify"]
    return found


def test_the_vector_is_what_the_store_computes(signed: Path) -> None:
    read = package.read(signed)
    assert (read.key_id, read.signature) == (VECTOR["key_id"], VECTOR["signature"])
    assert read.statement.decode() == VECTOR["statement"]
    assert signature.raw_public_key(KEY) == PUBLIC_KEY
    package.verify(read, PUBLIC_KEY)


def test_the_other_vectors_are_what_the_store_computes() -> None:
    proof = signature.registration_statement(OTHERS["developer_id"], VECTOR["key_id"])
    assert signature.sign(KEY, proof) == OTHERS["proof"]
    assert signature.key_id(signature.raw_public_key(NEW_KEY)) == OTHERS["new_key_id"]
    rotation = signature.rotation_statement(
        OTHERS["app_id"], VECTOR["key_id"], OTHERS["new_key_id"], OTHERS["from_version_code"]
    )
    assert signature.sign(KEY, rotation) == OTHERS["old_signature"]
    assert signature.sign(NEW_KEY, rotation) == OTHERS["new_signature"]


def test_the_verifier_of_the_page_accepts_a_signed_package(signed: Path, verify: Verify) -> None:
    assert verify(signed, PUBLIC_KEY)["id"] == "org.example.reader"


def test_the_verifier_of_the_page_refuses_another_key(signed: Path, verify: Verify) -> None:
    with pytest.raises(ValueError, match="another key"):
        verify(signed, signature.raw_public_key(NEW_KEY))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lib/reader.txt", "Hallo\n"),  # changed
        ("lib/more.txt", "Hello\n"),  # added
        ("empty.txt", None),  # removed
        ("manifest.json", VECTOR["files"]["manifest.json"].replace("Reader", "Writer")),
    ],
)
def test_the_verifier_of_the_page_refuses_other_content(
    signed: Path, verify: Verify, tmp_path: Path, name: str, content: str | None
) -> None:
    altered = tmp_path / "altered.mosis"
    with ZipFile(signed) as old, ZipFile(altered, "w") as new:
        for kept in set(old.namelist()) - {name}:
            new.writestr(kept, old.read(kept))
        if content is not None:
            new.writestr(name, content)
    with pytest.raises(InvalidSignature):
        verify(altered, PUBLIC_KEY)
