"""Private keys: never overwritten, never readable by others, and understood by openssl."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from portal.packages import keys, signature

OPENSSL = shutil.which("openssl")


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_written_and_read(passphrase: str | None, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = keys.generate(path, passphrase)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert keys.load(path, passphrase).private_bytes_raw() == key.private_bytes_raw()


def test_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("precious")
    with pytest.raises(keys.KeyExists):
        keys.generate(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("given", "tried", "reason"),
    [
        (None, "secret", "is not encrypted; omit the passphrase"),
        ("secret", None, "is encrypted; a passphrase is required"),
        ("secret", "other", "the passphrase is wrong"),
    ],
)
def test_passphrase(given: str | None, tried: str | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    keys.generate(path, given)
    with pytest.raises(keys.KeyUnusable, match=reason):
        keys.load(path, tried)


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_what_protects_a_key_with_a_passphrase(tmp_path: Path) -> None:
    """As docs/security.md says; a file that openssl protects better is read as well."""
    path, better = tmp_path / "key.pem", tmp_path / "better.pem"
    key = keys.generate(path, "secret")
    shown = subprocess.run([OPENSSL, "asn1parse", "-in", path], check=True, capture_output=True, text=True).stdout
    assert [name for name in ("PBKDF2", ":0800", "hmacWithSHA256", "aes-256-cbc") if name not in shown] == []
    rounds = ["-topk8", "-iter", "600000", "-passin", "pass:secret", "-passout", "pass:secret"]
    subprocess.run([OPENSSL, "pkcs8", *rounds, "-in", path, "-out", better], check=True)
    better.chmod(0o600)
    assert keys.load(better, "secret").private_bytes_raw() == key.private_bytes_raw()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_readable_by_others(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    keys.generate(path)
    path.chmod(mode)
    with pytest.raises(keys.KeyUnusable, match="chmod 600"):
        keys.load(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_no_key(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(keys.KeyUnusable, match="is not a PEM private key"):
        keys.load(path)


def test_another_kind_of_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    path.chmod(0o600)
    with pytest.raises(keys.KeyUnusable, match="is not an Ed25519 private key"):
        keys.load(path)


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_openssl_signs_with_it(passphrase: str | None, tmp_path: Path) -> None:
    path, message, signed = tmp_path / "key.pem", tmp_path / "message", tmp_path / "signature"
    key = keys.generate(path, passphrase)
    message.write_bytes(b"a statement")
    command = [OPENSSL, "pkeyutl", "-sign", "-rawin", "-inkey", path, "-in", message, "-out", signed]
    subprocess.run([*command, "-passin", f"pass:{passphrase or ''}"], check=True)
    assert signed.read_bytes() == key.sign(b"a statement")


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_made_by_openssl(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    subprocess.run([OPENSSL, "genpkey", "-algorithm", "ed25519", "-out", path], check=True)
    path.chmod(0o600)
    key = keys.load(path)
    signature.verify(signature.raw_public_key(key), signature.sign(key, b"x"), b"x")
