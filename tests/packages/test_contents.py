"""Bombs and lies about sizes cost no more than what the archive states, in work and in memory."""

import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from portal.packages import contents, package
from portal.packages.errors import PackageRejected
from portal.packages.limits import Limits

from . import hostile
from .hostile import DEFLATED, Item, file

MIB = 1024 * 1024
INFLATER = zlib.decompressobj


class CountedInflater:
    """`zlib.decompressobj` that counts what all of them put out."""

    inflated = 0

    def __init__(self, wbits: int) -> None:
        self._inflater = INFLATER(wbits)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inflater, name)

    def decompress(self, data: bytes, length: int) -> bytes:
        content = self._inflater.decompress(data, length)
        type(self).inflated += len(content)
        return content


@pytest.fixture
def inflater(monkeypatch: pytest.MonkeyPatch) -> type[CountedInflater]:
    counted = type("Counted", (CountedInflater,), {})
    monkeypatch.setattr(contents.zlib, "decompressobj", counted)
    return counted


def refuse(path: Path, data: bytes) -> list[str]:
    path.write_bytes(data)
    with pytest.raises(PackageRejected) as refusal:
        package.read(path)
    return refusal.value.errors


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [(bytes(MIB + 1), "more than 100 to 1"), (bytes(range(256)) * 40, "overlaps the next record")],
    ids=["steep", "within the ratio"],
)
def test_quoted_overlap_is_refused_before_anything_is_inflated(
    kernel: bytes, reason: str, tmp_path: Path, inflater: type[CountedInflater]
) -> None:
    errors = refuse(tmp_path / "bomb", hostile.quoted_overlap_bomb(150, kernel))
    assert any(reason in error and error.endswith(("and 145 more.", "and 146 more.")) for error in errors), errors
    assert inflater.inflated == 0


def test_the_bomb_is_one(tmp_path: Path) -> None:
    """What the test above refuses is an archive that other readers unpack."""
    path = tmp_path / "bomb"
    path.write_bytes(hostile.quoted_overlap_bomb(20, b"\0" * MIB))
    infos = zipfile.ZipFile(path).infolist()
    assert sum(info.file_size for info in infos) > 20 * MIB > 1000 * path.stat().st_size


@pytest.mark.parametrize("unpacked", [600 * MIB, 2**32 - 2])
def test_stated_sizes_beyond_the_limit_are_not_inflated(
    unpacked: int, tmp_path: Path, inflater: type[CountedInflater]
) -> None:
    lie = {"unpacked": unpacked}
    item = file(method=DEFLATED, content=bytes(20 * MIB), central=lie, local=lie)
    errors = refuse(tmp_path / "bomb", hostile.package(item))
    assert any("more than the 536870912 (537 MB) allowed" in error for error in errors)
    assert inflater.inflated == 0


def test_an_entry_is_left_one_byte_beyond_what_it_states(tmp_path: Path, inflater: type[CountedInflater]) -> None:
    lie = {"unpacked": 1}
    bombs = [Item(b"%d" % n, bytes(MIB), DEFLATED, central=lie, local=lie) for n in range(50)]
    errors = refuse(tmp_path / "bomb", hostile.package(*bombs))
    assert errors == ['"0" unpacks to more than the 1 bytes declared. Likewise "1", "2", "3" and 46 more.']
    assert inflater.inflated <= 2 * 50


def test_memory_does_not_grow_with_the_package(tmp_path: Path) -> None:
    path = tmp_path / "package"
    block = bytes(range(256)) * 4
    items = [
        file(content=block * 20_000, method=DEFLATED, data=deflate_within_ratio(block, 20_000)),
        file(name=b"stored", content=block * 20_000),
    ]
    path.write_bytes(hostile.package(*items))
    tracemalloc.start()
    try:
        package.read(path)
        assert tracemalloc.get_traced_memory()[1] < 5 * MIB
    finally:
        tracemalloc.stop()


def deflate_within_ratio(block: bytes, times: int) -> bytes:
    """`block` repeated, with a few bytes of each repetition that cannot be compressed away."""
    deflater = zlib.compressobj(wbits=-15, strategy=zlib.Z_HUFFMAN_ONLY)
    return b"".join(deflater.compress(block) for _ in range(times)) + deflater.flush()


def test_ten_thousand_entries_are_read(tmp_path: Path) -> None:
    path = tmp_path / "package"
    path.write_bytes(hostile.package(*(Item(b"files/%d/x" % number, b"x") for number in range(9_998))))
    assert package.read(path).entries == 10_000


def test_a_file_cut_off_while_it_is_read_is_an_error_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "package"
    path.write_bytes(hostile.package(file(content=bytes(100_000))))
    monkeypatch.setattr(package, "read_contents", lambda *args: path.write_bytes(b"") or contents.read_contents(*args))
    monkeypatch.setattr(package, "_BUFFER", 16)
    with pytest.raises(OSError, match="was truncated"):
        package.read(path, Limits())
