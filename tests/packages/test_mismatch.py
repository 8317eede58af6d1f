"""A signature that does not match says what the signer left out, or what to compare."""

import hashlib
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from portal.packages import package, signature
from portal.packages.errors import SignatureInvalid

from . import samples

FILES = {"manifest.json": json.dumps(samples.manifest()).encode(), "a/x": b"x"}
PUBLIC_KEY = signature.raw_public_key(samples.KEY)


def signed(path: Path, entries: dict[str, bytes], left_out: Iterable[str] = (), add: bytes = b"") -> package.Package:
    """A package of `entries` whose signature covers all of them but `left_out`, with `add` at the end."""
    digests = [
        signature.ContentDigest(name, len(content), hashlib.sha256(content).hexdigest())
        for name, content in entries.items()
        if name not in set(left_out)
    ]
    statement = signature.statement(samples.APP_ID, "1.0.0", 1, digests) + add
    file = signature.SignatureFile(
        alg="ed25519", key_id=signature.key_id(PUBLIC_KEY), signature=signature.sign(samples.KEY, statement)
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (*entries.items(), (signature.PATH, file.to_json())):
            archive.writestr(name, content)
    return package.read(path)


def reason(read: package.Package) -> str:
    with pytest.raises(SignatureInvalid) as refusal:
        package.verify(read, PUBLIC_KEY)
    (only,) = refusal.value.errors
    return only


def test_directories_are_entries(tmp_path: Path) -> None:
    entries = {**FILES, "META-INF/": b"", "a/": b""}
    package.verify(signed(tmp_path / "all", entries), PUBLIC_KEY)
    assert reason(signed(tmp_path / "files", entries, ["META-INF/", "a/"])) == (
        'The signature does not match the signed content: it holds without the directories "META-INF/" and "a/".'
        " A directory is an entry too: list it in the statement, or pack without directories (`zip -D`)."
    )


def test_what_jar_adds(tmp_path: Path) -> None:
    entries = {**FILES, "META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n"}
    said = reason(signed(tmp_path / "file", entries, ["META-INF/MANIFEST.MF"]))
    assert 'it holds without the files in META-INF "META-INF/MANIFEST.MF".' in said
    both = {**entries, "META-INF/": b"", "a/": b""}
    said = reason(signed(tmp_path / "both", both, ["META-INF/", "META-INF/MANIFEST.MF", "a/"]))
    assert 'without the directories and files in META-INF "META-INF/", "META-INF/MANIFEST.MF" and "a/".' in said


def test_many_directories_are_counted(tmp_path: Path) -> None:
    directories = {f"d{number:03}/": b"" for number in range(300)}
    said = reason(signed(tmp_path / "package", FILES | directories, directories))
    assert '"d000/", "d001/", "d002/", "d003/", "d004/" and 295 more.' in said


def test_anything_else_names_what_to_compare(tmp_path: Path) -> None:
    read = signed(tmp_path / "package", FILES, add=b"\n")
    assert reason(read) == (
        "The signature does not match the signed content: the statement of this package has 6 lines and the SHA-256"
        f" {hashlib.sha256(read.statement).hexdigest()}. Compare it with yours (`mosis statement` prints it), or sign"
        " again as the last step."
    )


def test_a_file_that_was_left_out_is_no_omission(tmp_path: Path) -> None:
    """Only what tools add by themselves is looked for: content that nobody signed is not explained away."""
    assert "lines and the SHA-256" in reason(signed(tmp_path / "package", FILES, ["a/x"]))


def test_the_folder_instead_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "package"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello-1.0/manifest.json", FILES["manifest.json"])
    with pytest.raises(package.PackageRejected) as refusal:
        package.read(path)
    missing, unsigned = refusal.value.errors
    assert missing == (
        'manifest.json is missing at the root, it is at "hello-1.0/manifest.json": pack the content of "hello-1.0/",'
        " not the folder."
    )
    assert unsigned == "META-INF/mosis.sig is missing: sign the package with `mosis sign`."
