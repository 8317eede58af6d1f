"""A download continues where it broke off, and never from another file."""

import hashlib
import os
from pathlib import Path

import pytest

from mosis_device.download import Part, download
from mosis_device.fetch import Bounds, Fetcher
from mosis_device.refusals import Refused
from tests.device.conftest import Phone
from tests.device.shelf import Copy, Shelf, serving
from tests.packages.samples import APP_ID

BIG = {"lib/noise.bin": os.urandom(300_000)}
PATH = "packages/big.mosis"
SIZE = 200_000


@pytest.fixture
def content(shelf: Shelf) -> bytes:
    """What lies at PATH of the shelf."""
    content = os.urandom(SIZE)
    (shelf.place / PATH).parent.mkdir()
    (shelf.place / PATH).write_bytes(content)
    return content


def fetch(part: Path, content: bytes, *copies: Copy, tries: int = 5) -> list[int]:
    """Complete the part; how much was there at each step."""
    steps: list[int] = []
    fetcher = Fetcher([copy.url for copy in copies], Bounds(tries=tries))
    sha256 = hashlib.sha256(content).hexdigest()
    download(fetcher, [PATH], len(content), sha256, Part(part), lambda done, size: steps.append(done))
    return steps


def test_a_cut_is_continued_from_where_it_was(content: bytes, copy: Copy, tmp_path: Path) -> None:
    copy.cuts = [50_000, 20_000]
    steps = fetch(tmp_path / "part", content, copy)
    assert steps[-1] == SIZE
    assert [wanted for wanted, _ in copy.ranges] == [None, "bytes=50000-", "bytes=70000-"]
    assert copy.sent == SIZE


def test_another_run_continues_it(content: bytes, copy: Copy, tmp_path: Path) -> None:
    copy.cuts = [50_000]
    with pytest.raises(Refused, match="broke off"):
        fetch(tmp_path / "part", content, copy, tries=1)
    fetch(tmp_path / "part", content, copy)
    assert copy.sent == SIZE


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    content: bytes, copy: Copy, shelf: Shelf, tmp_path: Path
) -> None:  # fmt: skip
    old = os.urandom(SIZE)
    (shelf.place / PATH).write_bytes(old)
    copy.cuts, copy.etag = [50_000], '"old"'
    with pytest.raises(Refused):
        fetch(tmp_path / "part", content, copy, tries=1)
    (shelf.place / PATH).write_bytes(content)
    copy.etag = '"new"'
    fetch(tmp_path / "part", content, copy)
    assert copy.ranges[1] == ("bytes=50000-", '"old"')
    assert (tmp_path / "part").read_bytes() == content


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_continued(content: bytes, copy: Copy, tmp_path: Path, etag: str) -> None:
    copy.cuts, copy.etag = [50_000], etag
    with pytest.raises(Refused):
        fetch(tmp_path / "part", content, copy, tries=1)
    fetch(tmp_path / "part", content, copy)
    assert copy.ranges == [(None, None)] * 2


def test_another_base_begins_anew(content: bytes, copy: Copy, tmp_path: Path, shelf: Shelf) -> None:
    copy.cuts = [50_000] + [0] * 9
    with serving(shelf.place) as other:
        fetch(tmp_path / "part", content, copy, other)
        assert other.ranges == [(None, None)]
    assert (tmp_path / "part").read_bytes() == content


def test_a_wrong_copy_is_left_for_a_good_one(content: bytes, copy: Copy, tmp_path: Path, shelf: Shelf) -> None:
    wrong = shelf.copy(tmp_path / "wrong")
    (wrong / PATH).write_bytes(os.urandom(SIZE))
    with serving(wrong) as bad:
        fetch(tmp_path / "part", content, bad, copy)
        assert (tmp_path / "part").read_bytes() == content
        (tmp_path / "part").unlink()
        with pytest.raises(Refused) as refused:
            fetch(tmp_path / "part", content, bad)
    assert refused.value.reason == "wrong-digest"
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("length", [SIZE - 1, SIZE + 1])
def test_a_file_of_another_length_is_refused(
    content: bytes, copy: Copy, shelf: Shelf, tmp_path: Path, length: int
) -> None:
    (shelf.place / PATH).write_bytes((content + b"more")[:length])
    with pytest.raises(Refused) as refused:
        fetch(tmp_path / "part", content, copy)
    assert refused.value.reason == "unreachable"


def test_a_server_that_sends_another_range_is_not_believed(content: bytes, copy: Copy, tmp_path: Path) -> None:
    copy.cuts, copy.shift = [50_000], 7
    with pytest.raises(Refused, match="did not send the range"):
        fetch(tmp_path / "part", content, copy)
    copy.shift = 0
    fetch(tmp_path / "part", content, copy)
    assert (tmp_path / "part").read_bytes() == content


def test_a_part_of_an_older_version_is_not_continued(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1, files=BIG)
    copy.cuts = [100_000, 0]
    assert phone.install(copy).reason == "unreachable"
    shelf.publish(2, files=BIG)
    assert phone.install(copy).version_code == 2
    assert copy.ranges[-1] == (None, None)
    assert {path.name for path in (phone.directory / "apps" / APP_ID).iterdir()} == {"app.json", "2"}
