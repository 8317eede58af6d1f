"""Packing and signing: reproducible, atomic, and nothing that a store would refuse."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import build, package, signature
from portal.packages.errors import PackageRejected
from portal.packages.limits import Limits

from . import samples

OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "lib").mkdir(parents=True)
    (source / "manifest.json").write_text(json.dumps(samples.manifest()))
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o750)
    (source / "lib" / "text").write_text("".join(f"line {n}\n" for n in range(500)))
    (source / "lib" / "noise").write_bytes(os.urandom(5000))
    (source / "lib" / "zeros").write_bytes(bytes(1_000_000))
    (source / "lib" / "empty").touch()
    return source


def test_same_directory_same_bytes(source: Path, tmp_path: Path) -> None:
    build.pack(source, tmp_path / "a.mosis")
    for file in source.rglob("*"):
        os.utime(file, (1_600_000_000, 1_600_000_000))
    (source / "lib").rename(source / "moved")
    (source / "moved").rename(source / "lib")
    build.pack(source, tmp_path / "b.mosis")
    assert (tmp_path / "a.mosis").read_bytes() == (tmp_path / "b.mosis").read_bytes()


def test_entries(source: Path, tmp_path: Path) -> None:
    build.pack(source, tmp_path / "a.mosis")
    with zipfile.ZipFile(tmp_path / "a.mosis") as archive:
        infos = archive.infolist()
        assert archive.testzip() is None
        assert all(archive.read(info) == (source / info.filename).read_bytes() for info in infos)
    assert [info.filename for info in infos] == sorted(
        ["lib/empty", "lib/noise", "lib/text", "lib/zeros", "manifest.json", "run.sh"]
    )
    methods = {info.filename: info.compress_type for info in infos}
    assert methods["lib/text"] == zipfile.ZIP_DEFLATED
    assert methods["lib/noise"] == methods["lib/empty"] == zipfile.ZIP_STORED
    assert methods["lib/zeros"] == zipfile.ZIP_STORED, "deflated it would be beyond the ratio that a store accepts"
    assert {info.filename for info in infos if info.external_attr >> 16 & 0o100} == {"run.sh"}


def test_what_systems_leave_behind_is_left_out(source: Path, tmp_path: Path) -> None:
    for name in ("@eaDir/x", ".DS_Store", "lib/._text", "META-INF/mosis.sig"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("{}")
    content = build.pack(source, tmp_path / "a.mosis")
    assert len(content.entries) == 6


def test_links_are_refused(source: Path, tmp_path: Path) -> None:
    (source / "link").symlink_to("run.sh")
    with pytest.raises(PackageRejected, match=r'^"link" is a link'):
        build.pack(source, tmp_path / "a.mosis")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("manifest.json", b"{}", '"id" is missing'),
        ("manifest.json", b"\xef\xbb\xbf{}", "byte order mark"),
        ("con.txt", b"", "device name"),
        ("a\\b", b"", "backslash"),
        ("RUN.SH", b"", "differ only in case"),
        (os.fsdecode(b"\xff"), b"", "UTF-8"),
    ],
)
def test_what_a_store_refuses_is_not_written(
    name: str, content: bytes, reason: str, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "a.mosis"
    output.write_bytes(b"as it was")
    (source / name).write_bytes(content)
    with pytest.raises(PackageRejected, match=reason):
        build.pack(source, output)
    assert output.read_bytes() == b"as it was"
    assert sorted(tmp_path.iterdir()) == [output, source]


def test_an_earlier_package_is_not_packed(source: Path) -> None:
    output = source / "a.mosis"
    assert len(build.pack(source, output).entries) == 6
    once = output.read_bytes()
    build.pack(source, output)
    assert output.read_bytes() == once


def test_progress(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    build.pack(source, tmp_path / "a.mosis", progress=lambda done, total: told.append((done, total)))
    total = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_too_much_is_refused_before_it_is_written(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageRejected, match=r"more than the 5000 \(5.0 kB\) allowed"):
        build.pack(source, tmp_path / "a.mosis", Limits(unpacked_bytes=5000))


def test_sign_keeps_everything_else(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mosis"
    build.pack(source, path)
    unsigned = path.read_bytes()
    output = tmp_path / "b.mosis"
    signed = build.sign(path, samples.KEY, output)
    assert path.read_bytes() == unsigned
    package.verify(signed, signature.raw_public_key(samples.KEY))
    assert package.read(output) == signed
    start = unsigned.index(b"PK\1\2")
    assert output.read_bytes()[:start] == unsigned[:start]


def test_signing_anew_replaces_the_signature(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mosis"
    build.pack(source, path)
    first = build.sign(path, samples.KEY)
    once = path.read_bytes()
    second = build.sign(path, OTHER)
    package.verify(second, signature.raw_public_key(OTHER))
    assert (first.statement, first.entries) == (second.statement, second.entries)
    build.sign(path, samples.KEY)
    assert path.read_bytes() == once


def test_a_broken_signature_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.mosis"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(signature.PATH, "junk" * 1000)
        archive.writestr("manifest.json", json.dumps(samples.manifest()))
    package.verify(build.sign(path, samples.KEY), signature.raw_public_key(samples.KEY))


def test_sign_refuses_what_a_store_refuses(tmp_path: Path) -> None:
    path = tmp_path / "a.mosis"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(samples.manifest(version_code=0)))
    before = path.read_bytes()
    with pytest.raises(PackageRejected, match="version_code"):
        build.sign(path, samples.KEY)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{'M' * 64}\n{'M' * 64}\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    "start",
    [
        "-----BEGIN PRIVATE KEY-----\n",
        "\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
        f"{CERTIFICATE}-----BEGIN RSA PRIVATE KEY-----\r\n",
        "Bag Attributes\n    localKeyID: 01 02\nKey Attributes: <No Attributes>\n-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
    ],
)
def test_a_private_key_is_never_packed(source: Path, tmp_path: Path, start: str) -> None:
    (source / "lib/key.pem").write_text(start)
    with pytest.raises(PackageRejected, match=r'"lib/key\.pem" has a private key'):
        build.pack(source, tmp_path / "a.mosis")
    assert not (tmp_path / "a.mosis").exists()


def test_a_token_of_a_store_is_never_packed(source: Path, tmp_path: Path) -> None:
    (source / ".env").write_text(f"A=b\nMOSIS_TOKEN=mosis_{'a' * 16}_{'b' * 43}\n")
    with pytest.raises(PackageRejected, match=r'"\.env" has a token of a store'):
        build.pack(source, tmp_path / "app.mosis")


def test_a_program_that_reads_keys_is_packed(source: Path, tmp_path: Path) -> None:
    (source / "pem.py").write_text(f'HEAD = "-----BEGIN PRIVATE KEY-----"\n{CERTIFICATE}')
    build.pack(source, tmp_path / "app.mosis")


def test_what_is_ignored_is_left_out(source: Path, tmp_path: Path) -> None:
    for name in (".git/config", "lib/old.mosis", "a.log", "lib/deep/a.log", "docs/x/page.md", "docs/page.md", "out/a"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("-----BEGIN PRIVATE KEY-----\n")
    (source / ".mosisignore").write_text("# comment\n\n*.log\n/docs/page.md\ndocs/x\nout/\n")
    assert {entry.path for entry in build.pack(source, tmp_path / "a.mosis").entries} == {
        "lib/empty", "lib/noise", "lib/text", "lib/zeros", "manifest.json", "run.sh",
    }  # fmt: skip
    (source / ".mosisignore").write_bytes(b"\xff")
    with pytest.raises(PackageRejected, match="is not UTF-8"):
        build.pack(source, tmp_path / "a.mosis")


@pytest.mark.parametrize(
    "circumstances",
    [
        "umask 077; LC_ALL=C",
        "umask 000; LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
        "umask 022; LC_ALL=tr_TR.UTF-8 TZ=Pacific/Kiritimati PYTHONHASHSEED=7",
        "umask 027; SOURCE_DATE_EPOCH=1 faketime '2001-01-01 00:00:00'",
    ],
)
def test_the_bytes_depend_on_the_files_alone(source: Path, tmp_path: Path, circumstances: str) -> None:
    if "faketime" in circumstances and shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    (source / "lib/ünïcode İı").write_text("x")
    build.pack(source, tmp_path / "a.mosis")
    program = (
        "import sys; from pathlib import Path; from portal.packages import build; build.pack(*map(Path, sys.argv[1:]))"
    )
    copy = f"umask 077; cp -r '{source}' '{tmp_path}/copy'; {circumstances}"
    command = f"{copy} '{sys.executable}' -c '{program}' '{tmp_path}/copy' '{tmp_path}/b.mosis'"
    subprocess.run(["bash", "-euc", command], check=True)
    assert (tmp_path / "b.mosis").read_bytes() == (tmp_path / "a.mosis").read_bytes()
