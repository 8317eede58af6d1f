"""The directory of the metrics is swept when its server is gone, and only then."""

import os
from pathlib import Path

import pytest

from portal.server.metrics_directory import NEW_SECONDS, metrics_directory


def age(path: Path) -> None:
    then = path.stat().st_mtime - NEW_SECONDS - 1
    os.utime(path, (then, then))


def test_what_a_killed_server_left_is_swept(tmp_path: Path) -> None:
    left, fresh, other = (tmp_path / name for name in ("mosis-metrics-left", "mosis-metrics-fresh", "other"))
    for path in (left, fresh, other):
        path.mkdir()
        (path / "counter.db").write_bytes(b"x")
    age(left)
    age(other)
    with metrics_directory(tmp_path) as used:
        age(used)
        with metrics_directory(tmp_path) as second:
            assert {*tmp_path.iterdir()} == {fresh, other, used, second}
    assert {*tmp_path.iterdir()} == {fresh, other}


def test_without_shared_memory_it_is_a_temporary_one(tmp_path: Path) -> None:
    with metrics_directory(tmp_path / "missing", tmp_path) as used:
        assert used and used.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_without_room_anywhere_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with metrics_directory(tmp_path / "missing") as used:
        assert used is None
    assert "Each worker counts alone" in caplog.text
