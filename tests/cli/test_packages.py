"""`mosis pack`, `sign` and `verify` say which file is at fault, and why."""

import base64
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import keys, signature
from tests.packages.samples import KEY, make_package, manifest
from tests.support.portal import MOSIS


def mosis(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([MOSIS, *words], capture_output=True, text=True)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    keys.generate(tmp_path / "key.pem")
    return tmp_path / "key.pem"


def source(directory: Path, **changes: object) -> Path:
    directory.mkdir()
    (directory / "manifest.json").write_text(json.dumps(manifest(**changes)))
    return directory


def test_every_reason_names_the_package(tmp_path: Path, key: Path) -> None:
    bad = tmp_path / "bad.mosis"
    bad.write_bytes(b"no package")
    unsigned = tmp_path / "unsigned.mosis"
    assert mosis("pack", source(tmp_path / "source"), unsigned).returncode == 0
    for words, remedy in (
        (("verify", bad), "Choose the file that ends with .mosis."),
        (("sign", bad, "--key", key), "Choose the file that ends with .mosis."),
        (("verify", unsigned), "`mosis push` packs, signs and uploads a folder at once."),
    ):
        ran = mosis(*words)
        assert ran.returncode == 1
        reasons, last = ran.stderr.splitlines()[:-1], ran.stderr.splitlines()[-1]
        assert reasons and all(line.startswith(f"{words[1]}: ") for line in reasons)
        assert last == remedy


def test_every_reason_names_the_directory(tmp_path: Path) -> None:
    wrong = source(tmp_path / "wrong", version_name="one", version_code=0)
    ran = mosis("pack", wrong, tmp_path / "out.mosis")
    lines = ran.stderr.splitlines()
    assert (ran.returncode, len(lines)) == (1, 2)
    assert all(line.startswith(f"{wrong}: ") for line in lines)


def test_the_statement_is_what_is_signed(tmp_path: Path, key: Path) -> None:
    package = tmp_path / "p.mosis"
    mosis("pack", source(tmp_path / "source"), package)
    printed = mosis("statement", package)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert mosis("sign", package, "--key", key).returncode == 0
    assert mosis("statement", package).stdout == printed.stdout
    signed = json.loads(zipfile.ZipFile(package).read(signature.PATH))["signature"]
    public_key = signature.raw_public_key(keys.load(key))
    signature.verify(public_key, signed, printed.stdout.encode())


def test_verify_succeeds_only_where_a_signature_was_checked(tmp_path: Path) -> None:
    package, tampered = tmp_path / "p.mosis", tmp_path / "tampered.mosis"
    make_package(package)
    with zipfile.ZipFile(package) as signed, zipfile.ZipFile(tampered, "w") as changed:
        for name in signed.namelist():
            changed.writestr(name, signed.read(name) + (b" " if name == "manifest.json" else b""))
    key = base64.b64encode(signature.raw_public_key(KEY)).decode()
    for file, words, status in ((package, ["--public-key", key], 0), (tampered, ["--public-key", key], 1),
                                (package, [], 1), (tampered, [], 1)):  # fmt: skip
        ran = mosis("verify", file, *words)
        assert (ran.returncode, bool(ran.stderr)) == (status, bool(status)), ran
        assert ("`mosis key show`" in ran.stderr) == (words == [])


def test_verify_takes_the_public_key_that_is_shown(tmp_path: Path, key: Path) -> None:
    package = tmp_path / "p.mosis"
    make_package(package, key=keys.load(key))
    shown = mosis("key", "show", key).stdout.strip()
    assert mosis("verify", package, "--public-key", shown).returncode == 0
    as_json = json.loads(mosis("key", "show", key, "--json").stdout)
    assert as_json == {"key_id": signature.key_id(base64.b64decode(shown)), "public_key": shown}


def test_a_package_of_another_key_is_named(tmp_path: Path) -> None:
    package = tmp_path / "p.mosis"
    make_package(package)
    other = base64.b64encode(signature.raw_public_key(Ed25519PrivateKey.generate())).decode()
    ran = mosis("verify", package, "--public-key", other)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{package}: The package is signed with key ")
