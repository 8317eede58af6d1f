"""Console and command line say how to fix what is wrong with a package."""

from pathlib import Path

import pytest

from portal.packages import package
from portal.packages.errors import PackageRejected
from portal.packages.remedies import FOLDER, LINKS, REMEDIES, RENAME, REPACK, remedies, remedy
from tests.packages import test_mismatch
from tests.packages.hostile import FILE, MANIFEST, SIGNATURE, UTF8, Item, build, file
from tests.packages.hostile import package as archive
from tests.packages.test_archive import FORCED

FAULTS = {
    "a folder": (build([Item(b"app/manifest.json", MANIFEST.content), SIGNATURE]), "Pack the folder with `mosis pack`"),
    "no manifest": (build([SIGNATURE]), "Put manifest.json at the root"),
    "no signature": (build([MANIFEST]), "`mosis push` packs, signs and uploads"),
    "too many entries": (archive(FILE, count=10_001, here=10_001), "Remove what the app does not need"),
    "a method": (archive(file(method=12)), REPACK),
    "a link": (archive(file(central={"external": 0o120777 << 16})), LINKS),
    "a name of Windows": (archive(file(name=b"a:b")), RENAME),
    "names that differ in case": (archive(FILE, file(name=b"files/A.TXT")), RENAME),
    "a device name": (archive(file(name=b"nul.txt")), RENAME),
    "a name written backwards": (archive(file(name="a\u202eb".encode(), flags=UTF8)), RENAME),
    "a file of macOS": (archive(file(name=b"__MACOSX/a")), REPACK),
    "ZIP64": (archive(FORCED), REPACK),
}


@pytest.mark.parametrize(("data", "text"), FAULTS.values(), ids=FAULTS.keys())
def test_the_remedy_fits_the_fault(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "package.mosis"
    path.write_bytes(data)
    with pytest.raises(PackageRejected) as refusal:
        package.read(path)
    assert [remedy(reason).startswith(text) for reason in refusal.value.errors] == [True]


def test_each_way_is_given_once() -> None:
    """`zip` and `tar` of `.` have both faults; to pack the folder mends both."""
    faults = ['manifest.json is missing at the root, it is at "./manifest.json": pack `*`, not `.`.', '"./a" has a .']
    assert remedies(faults) == [FOLDER]
    assert remedies(['"a" is deleted.', '"b" is encrypted.', "manifest.json is missing."]) == [
        REPACK, "Put manifest.json at the root of the archive; `mosis init` writes one.",
    ]  # fmt: skip


def test_what_the_signer_left_out_is_to_be_signed(tmp_path: Path) -> None:
    entries = {**test_mismatch.FILES, "a/": b""}
    read = test_mismatch.signed(tmp_path / "package", entries, ["a/"])
    with pytest.raises(PackageRejected) as refusal:
        package.verify(read, test_mismatch.PUBLIC_KEY)
    assert remedy(refusal.value.errors[0]).startswith("Sign the package with `mosis sign`, which signs every entry")


def test_a_file_that_changed_is_to_be_signed_again(tmp_path: Path) -> None:
    read = test_mismatch.signed(tmp_path / "package", test_mismatch.FILES, ["a/x"])
    with pytest.raises(PackageRejected) as refusal:
        package.verify(read, test_mismatch.PUBLIC_KEY)
    assert remedy(refusal.value.errors[0]).startswith("The package changed after it was signed")


def test_a_remedy_fits_console_and_command_line() -> None:
    assert [each.text for each in REMEDIES if "this page" in each.text] == []
