"""ZIP archives as other programs write them: accepted, or refused with the one reason that a developer can act on."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from portal.packages import build, package, signature
from portal.packages.errors import PackageRejected

from . import samples

WRITTEN = Path(__file__).parent / "written"
FILES = {
    "manifest.json": b'{"manifest_version": 1, "id": "org.example.reader", "name": "Reader", "version_name": "1.0.0",'
    b' "version_code": 1}\n',
    "main.lua": b"print('hello')\n" * 20,
    "lib/deep/x.txt": b"x",
    "assets/empty.txt": b"",
    "assets/logo.bin": Random(0).randbytes(64),
    "run.sh": b"#!/bin/sh\n",
}
OTHER = {"locale/üé日本.txt": b"Hello\n"}
DIRECTORIES = {"lib/", "lib/deep/", "assets/"}

ACCEPTED = ""
ZIP64 = "uses ZIP64, which no package of the allowed size needs"
NOT_MARKED = "is a non-ASCII name without the UTF-8 flag"
ON_DOS = "is a non-ASCII name in an archive marked as made on DOS"
COMMENT = "The archive has a comment: 40 bytes follow its end record, as `git archive` writes"
STREAMED = "is stored with a data descriptor"


@dataclass(frozen=True)
class Writer:
    """A command in the directory of the files, and the verdicts without and with a name beyond ASCII."""

    command: str
    ascii: str = ACCEPTED
    other: str = ACCEPTED


WRITERS = {
    "zip -r": Writer("zip -qr {out} .", other=NOT_MARKED),
    "zip -rD": Writer("zip -qrD {out} .", other=NOT_MARKED),
    "zip to a pipe": Writer("zip -qrD - . > {out}", other=NOT_MARKED),
    "zip -fz": Writer("zip -qrD -fz {out} .", ZIP64, ZIP64),
    "zip -z": Writer(
        "zip -qrD {out} . && echo hello | zip -qz {out}", "The archive has a comment: 5 bytes", "a comment"
    ),
    "7-Zip": Writer("7zz a -bso0 -bsp0 -tzip {out} ."),
    "bsdtar": Writer("bsdtar -a -cf {out} *"),
    "bsdtar to a pipe": Writer(
        "bsdtar --format zip -cf - * > {out}", "The archive is padded: ", "The archive is padded"
    ),
    "Python": Writer(f"{sys.executable} -m zipfile -c {{out}} *"),
    "make_archive": Writer(f"{sys.executable} -c \"import shutil; shutil.make_archive('{{out}}'[:-4], 'zip', '.')\""),
    "jar cfM": Writer("jar cfM {out} *", other=ON_DOS),
}

COMMITTED = {
    "ant": ACCEPTED,  # Ant 1.10.13, <zip destfile basedir>
    "archiver": ACCEPTED,  # archiver 7.0.1, directory()
    "archiver-zip64": ZIP64,  # the same with forceZip64
    "fflate": ON_DOS,  # fflate 0.8.3, zipSync()
    "fflate-ascii": ACCEPTED,
    "fflate-unix": ACCEPTED,  # the same with os: 3, attrs: 0o100644 << 16
    "git": COMMENT,  # git 2.39, archive --format zip
    "git-ascii": COMMENT,
    "go-create": ON_DOS,  # Go 1.19, Writer.Create()
    "go-create-ascii": ACCEPTED,
    "go-header": ACCEPTED,  # Go 1.19, FileInfoHeader() with the names of directories and Deflate
    "jar-cf": ON_DOS,  # OpenJDK 17, jar cf
    "jar-cf-ascii": ACCEPTED,
    "java": ON_DOS,  # OpenJDK 17, ZipOutputStream
    "java-ascii": ACCEPTED,
    "jszip": ACCEPTED,  # JSZip 3.10.2, DEFLATE
    "jszip-dirs": ACCEPTED,  # the same with createFolders
    "jszip-stream": STREAMED,  # the same with streamFiles
    "jszip-unix": ACCEPTED,  # the same with platform: "UNIX"
    "py-stream_zip": ACCEPTED,  # stream-zip 0.0.84, ZIP_32
    "py-stream_zip64": ZIP64,  # the same with ZIP_64
    "py-zipstream_ng": ACCEPTED,  # zipstream-ng 1.9.3
    "yazl": ACCEPTED,  # yazl 3.3.1, addFile()
}
"""The same files as these programs wrote them, which CI lacks; with `-ascii` without the name beyond ASCII."""


def tree(place: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name == "run.sh" else 0o644)
    for path in (place, *place.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return place


def run(writer: Writer, place: Path, out: Path) -> None:
    program = writer.command.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    subprocess.run(writer.command.format(out=out), shell=True, check=True, cwd=place, env=environment, timeout=300)


def require_verdict(path: Path, verdict: str, files: dict[str, bytes]) -> None:
    if verdict:
        with pytest.raises(PackageRejected) as refusal:
            build.sign(path, samples.KEY)
        (reason,) = refusal.value.errors
        assert verdict in reason
        return
    signed = build.sign(path, samples.KEY)
    package.verify(signed, signature.raw_public_key(samples.KEY))
    listed = {line.split("  ", 2)[2] for line in signed.statement.decode().splitlines()[signature.HEADER_LINES :]}
    directories = {name for name in listed if name.endswith("/")}
    assert listed - directories - {"META-INF/MANIFEST.MF"} == set(files)
    assert directories - {"META-INF/", "locale/"} in (DIRECTORIES, set())


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS.keys())
@pytest.mark.parametrize("beyond_ascii", [False, True], ids=["ascii", "other"])
def test_a_program_that_is_installed(writer: Writer, beyond_ascii: bool, tmp_path: Path) -> None:
    files = FILES | OTHER if beyond_ascii else FILES
    place, out = tree(tmp_path / "files", files), tmp_path / "package.zip"
    run(writer, place, out)
    require_verdict(out, writer.other if beyond_ascii else writer.ascii, files)


@pytest.mark.parametrize(("name", "verdict"), COMMITTED.items(), ids=COMMITTED.keys())
def test_a_program_that_was_run_once(name: str, verdict: str, tmp_path: Path) -> None:
    out = tmp_path / "package.zip"
    shutil.copy(WRITTEN / f"{name}.zip", out)
    require_verdict(out, verdict, FILES if name.endswith("-ascii") else FILES | OTHER)


def test_every_committed_archive_has_a_verdict() -> None:
    assert {path.stem for path in WRITTEN.iterdir()} == set(COMMITTED)
    assert all(path.stat().st_size < 2000 for path in WRITTEN.iterdir())


def test_an_archive_of_the_working_directory_says_what_to_pack(tmp_path: Path) -> None:
    out = tmp_path / "package.zip"
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(zipfile.ZipInfo(f"./{name}"), content)
    with pytest.raises(PackageRejected) as refusal:
        build.sign(out, samples.KEY)
    names, manifest = refusal.value.errors
    assert "has a `.` component: pack `*`, not `.`." in names
    assert manifest.endswith("pack `*`, not `.`.")
