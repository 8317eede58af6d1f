"""An installation that is killed, or whose disk fails, at any of its system calls leaves a good device behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mosis_device.refusals import Refused
from tests.device.conftest import Phone
from tests.device.shelf import FILES, Copy, Shelf
from tests.packages.samples import APP_ID
from tests.support import injection

pytestmark = pytest.mark.seconds(80)

SHARDS = 4  # which run in parallel
NEW_FILES = FILES | {"lib/reader.txt": b"Hello again\n"}
READING = ("openat",)
Prepare = Callable[[], Callable[[], object]]


@pytest.fixture
def prepare(shelf: Shelf, copy: Copy, phone: Phone, tmp_path: Path) -> Prepare:
    """Puts a device back to version 1; the work is its update to version 2."""
    injection.require_strace(tmp_path)
    shelf.publish(1)
    assert phone.install(copy).outcome == "installed"
    saved = shutil.copytree(phone.directory, tmp_path / "saved", symlinks=True)
    shelf.publish(2, files=NEW_FILES)

    def put_back() -> Callable[[], object]:
        shutil.rmtree(phone.directory)
        shutil.copytree(saved, phone.directory, symlinks=True)
        return lambda: update(phone, copy)

    return put_back


def update(phone: Phone, copy: Copy) -> None:
    outcome = phone.install(copy)
    if outcome.reason:
        raise Refused(outcome.reason, str(outcome.detail))


def assert_good(phone: Phone) -> int:
    """What the record names is there, whole; its version code."""
    record = phone.device.installed()[APP_ID]
    outcome_path = phone.directory / "apps" / APP_ID / str(record["version_code"])
    found = {name: (outcome_path / name).read_bytes() for name in FILES}
    assert found == (FILES if record["version_code"] == 1 else NEW_FILES)
    return int(record["version_code"])


def assert_clean(phone: Phone) -> None:
    assert {path.name for path in (phone.directory / "apps" / APP_ID).iterdir()} == {"app.json", "1", "2"}
    assert {path.name for path in phone.directory.iterdir()} == {
        "apps", "device.json", "documents", "lock", "metadata", "root.json"
    }  # fmt: skip
    names = {path.name for path in (phone.directory / "metadata").iterdir()}
    assert not [name for name in names if name.startswith("tmp")]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_after_a_kill_the_next_run_completes_it(
    prepare: Prepare, phone: Phone, copy: Copy, tmp_path: Path, shard: int
) -> None:
    points = injection.points(prepare, tmp_path)
    assert len(points) > 40
    for point in points[shard::SHARDS]:
        assert injection.run(prepare, tmp_path / "log", point.killed()) == -9, point
        assert_good(phone)
        assert phone.install(copy).version_code == 2, point
        assert assert_good(phone) == 2
        assert_clean(phone)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_disk_that_fails_is_said_and_the_next_run_completes_it(
    prepare: Prepare, phone: Phone, copy: Copy, tmp_path: Path, shard: int
) -> None:
    points = [point for point in injection.points(prepare, tmp_path) if point.call not in READING]
    for point in points[shard::SHARDS]:
        if injection.run(prepare, tmp_path / "log", point.failing("ENOSPC")):
            error = (tmp_path / "error").read_text()
            assert error.startswith("Refused('The disk of ") and "is full" in error, (point, error)
        assert_good(phone)
        assert phone.install(copy).version_code == 2, point
        assert_clean(phone)
