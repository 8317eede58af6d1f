"""What is installed is what the developer signed, and it stays inside its directory."""

import hashlib
import shutil
import stat
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosis_device.fetch import Bounds
from mosis_device.package import unpack
from mosis_device.refusals import Refused
from portal.packages import package
from tests.device.conftest import Phone
from tests.device.shelf import ROTATED_KEY, Copy, Shelf, make_hostile
from tests.packages.samples import manifest
from tests.packages.test_archive import ACCEPTED

Change = Callable[[Path], None]


def rewritten(rewrite: Callable[[dict[str, bytes]], object]) -> Change:
    """Change the files of a package, and leave its signature."""

    def change(path: Path) -> None:
        with ZipFile(path) as old:
            files = {name: old.read(name) for name in old.namelist()}
        rewrite(files)
        with ZipFile(path, "w") as new:
            for name, content in files.items():
                new.writestr(name, content)

    return change


def other_manifest(**changes: Any) -> Change:
    return lambda path: make_hostile(path, manifest(version_name="1.0.0", **changes), [("lib/reader.txt", b"Hello\n")])


def archive(*entries: tuple[ZipInfo | str, bytes]) -> Change:
    """A package of these entries that its developer signed."""
    return lambda path: make_hostile(path, manifest(), list(entries))


def link(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def directory(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.external_attr = (stat.S_IFDIR | 0o755) << 16
    return info


def compressed(name: str, method: int) -> ZipInfo:
    info = ZipInfo(name)
    info.compress_type = method
    return info


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60] ^= 1  # inside the first entry
    path.write_bytes(content)


def displaced(path: Path) -> None:
    """The first entry would begin before the file."""
    content = bytearray(path.read_bytes())
    content[-6:-2] = b"\xff\xff\xff\x7f"  # where the central directory begins
    path.write_bytes(content)


BAD = {
    "changed": (rewritten(lambda files: files.update({"lib/reader.txt": b"Hallo\n"})), "bad-signature"),
    "added": (rewritten(lambda files: files.update({"lib/more.txt": b""})), "bad-signature"),
    "removed": (rewritten(lambda files: files.pop("lib/reader.txt")), "bad-signature"),
    "unsigned": (rewritten(lambda files: files.pop("META-INF/mosis.sig")), "bad-package"),
    "not JSON": (rewritten(lambda files: files.update({"META-INF/mosis.sig": b"{"})), "bad-package"),
    "a list": (rewritten(lambda files: files.update({"manifest.json": b"[]"})), "bad-package"),
    "other key": (lambda path: make_hostile(path, manifest(), [], ROTATED_KEY), "key-changed"),
    "other app": (other_manifest(id="org.example.writer"), "bad-package"),
    "other code": (other_manifest(version_code=2), "bad-package"),
    "other API": (other_manifest(min_api=3), "bad-package"),
    "truncated": (truncated, "bad-package"),
    "displaced": (displaced, "bad-package"),
    "flipped": (flipped, "bad-package"),
    "upwards": (archive(("../evil", b"")), "bad-package"),
    "upwards inside": (archive(("lib/../../evil", b"")), "bad-package"),
    "absolute": (archive(("/tmp/mosis-evil", b"")), "bad-package"),
    "backslash": (archive(("lib\\evil", b"")), "bad-package"),
    "drive": (archive(("c:evil", b"")), "bad-package"),
    "control": (archive(("lib/a\nb", b"")), "bad-package"),
    "dot": (archive(("./evil", b"")), "bad-package"),
    "empty component": (archive(("lib//evil", b"")), "bad-package"),
    "deep": (archive(("a/" * 40 + "evil", b"")), "bad-package"),
    "link": (archive((link("lib/evil"), b"/etc/passwd")), "bad-package"),
    "link to a directory": (archive((link("lib"), b"/tmp"), ("lib/evil", b"")), "bad-package"),
    "twice": (archive(("lib/a", b"1"), ("lib/a", b"2")), "bad-package"),
    "case": (archive(("lib/a", b"1"), ("LIB/b", b"2")), "bad-package"),
    "unicode": (archive(("ä", b"1"), ("a\u0308", b"2")), "bad-package"),
    "file and directory": (archive(("lib/a", b"1"), ("lib", b"2")), "bad-package"),
    "below a file": (archive(("lib", b"2"), ("lib/a", b"1")), "bad-package"),
    "bzip2": (archive((compressed("lib/a", 12), b"1")), "bad-package"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_package_is_refused_with_its_reason(shelf: Shelf, copy: Copy, phone: Phone, name: str) -> None:
    change, reason = BAD[name]
    shelf.publish(1, change=change, version_name="1.0.0")
    outcome = phone.install(copy)
    assert outcome.reason == reason, outcome
    assert not phone.device.installed()
    assert [path.name for path in phone.directory.glob("apps/*/*")] == []
    assert not list(phone.directory.parent.rglob("evil*"))


def test_the_signature_that_the_catalogue_names_is_the_one_of_the_package(
    shelf: Shelf, copy: Copy, phone: Phone
) -> None:
    shelf.publish(1, statement_sha256="0" * 64)
    assert phone.install(copy).reason == "bad-signature"


@pytest.mark.parametrize("bounds", [Bounds(unpacked=100_000), Bounds(entries=3), Bounds(package=300)])
def test_a_package_beyond_the_bounds_is_refused(shelf: Shelf, copy: Copy, phone: Phone, bounds: Bounds) -> None:
    shelf.publish(1, files={"lib/zeros": bytes(101_000), "lib/more": b""})
    assert phone.install(copy, bounds=bounds).reason == "bad-package"
    assert phone.install(copy).outcome == "installed"


def end_record(directory: int, start: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, directory, start, 0)


def hidden(directory: int) -> bytes:
    """Records of ZIP64 that name the real directory, and an end record that names a small one."""
    size = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, directory, 0)
    return size + struct.pack("<4sLQL", b"PK\6\7", 0, directory, 1) + end_record(46, 0)


@pytest.mark.parametrize("end", [lambda directory: end_record(directory, 0), hidden], ids=["plain", "ZIP64"])
def test_a_directory_of_endless_entries_is_not_even_read(end: Callable[[int], bytes], tmp_path: Path) -> None:
    """It would take gigabytes of a device's memory, before anybody counts the entries."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[0] * 9, 1, *[0] * 6) + b"a"
    directory = entry * 20_000
    (tmp_path / "package").write_bytes(directory + end(len(directory)))
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="not installed"):
            unpack(tmp_path / "package", tmp_path / "fresh", Bounds(entries=3))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_bomb_writes_no_more_than_it_declares(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    def lie(path: Path) -> None:
        make_hostile(path, manifest(), [(compressed("zeros", 8), bytes(10_000_000))])
        real, less = (10_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
        path.write_bytes(path.read_bytes().replace(real, less))

    shelf.publish(1, change=lie, version_name="1.0.0")
    assert phone.install(copy).reason == "bad-package"


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_a_store_accepts_is_unpacked_as_it_was_signed(name: str, tmp_path: Path) -> None:
    path, target = tmp_path / "package.mosis", tmp_path / "unpacked"
    path.write_bytes(ACCEPTED[name])
    assert unpack(path, target, Bounds()).statement == package.read(path).statement
    modes = {stat.S_IMODE(file.stat().st_mode) for file in target.rglob("*") if file.is_file()}
    assert modes <= {0o644, 0o755}


def test_directories_are_entries_too(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    def with_directory(path: Path) -> None:
        make_hostile(path, manifest(), [(directory("lib/"), b""), (directory("lib/empty/"), b""), ("lib/a", b"1")])

    document = shelf.publish(1, change=with_directory, version_name="1.0.0")
    statement = package.read(shelf.package_path(1)).statement
    document["releases"][0]["statement_sha256"] = hashlib.sha256(statement).hexdigest()
    shelf.sign()
    outcome = phone.install(copy)
    assert outcome.outcome == "installed", outcome
    assert (Path(outcome.path) / "lib/empty").is_dir()


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_does_more_than_refuse(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    place = tmp_path_factory.mktemp("damaged")
    make_hostile(place / "p", manifest(), [(compressed("lib/a", 8), b"Hello " * 50), ("lib/b", b"Hello\n")])
    content = bytearray((place / "p").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (place / "p").write_bytes(content[: data.draw(st.integers(len(content) - 40, len(content)))])
    with suppress(Refused):
        unpack(place / "p", place / "fresh", Bounds())
    assert {path.name for path in place.iterdir()} <= {"p", "fresh"}
    shutil.rmtree(place)
