"""What was acknowledged is there after a power cut; and a flush that is left out is found by these tests."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.test_every_call import chosen
from tests.support import injection
from tests.support.changes import CHANGES, World, make_world
from tests.support.power import Disk, disk
from tests.support.walk import Walk, at


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("power")
    injection.require_strace(directory)
    return make_world(directory)


@pytest.fixture(scope="module")
def powered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    with disk(tmp_path_factory.mktemp("disk")) as made:
        yield made


def cut_after(walk: Walk, disk: Disk, inject: str | None = None) -> tuple[World, int]:
    """The store after the change and a power cut, and how the change ended."""
    world = walk.copy()
    disk.flush()
    ended = walk.run(world, inject)
    disk.cut()
    return world, ended


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_acknowledged_survives_a_power_cut(world: World, powered: Disk, tmp_path: Path, name: str) -> None:
    walk = Walk(world, name, powered.at, tmp_path)
    after, ended = cut_after(walk, powered)
    assert ended == 0
    walk.require_whole(after, acknowledged=True)


@pytest.mark.parametrize("name", CHANGES)
def test_a_power_cut_before_a_call(world: World, powered: Disk, tmp_path: Path, name: str) -> None:
    walk = Walk(world, name, powered.at, tmp_path)
    for point in chosen(walk.points):
        with at(point):
            after, ended = cut_after(walk, powered, point.killed())
            assert ended in (-signal.SIGKILL, 0)
            walk.require_whole(after, acknowledged=ended == 0)


@pytest.mark.parametrize(
    ("name", "call", "number"),
    [
        ("an upload by form", "fsync", 0),  # of the package
        ("an upload by form", "fdatasync", -1),  # of the row
        ("a body continued", "fdatasync", 0),
        ("a body continued", "fdatasync", -1),
        ("an icon replaced", "fsync", 0),
    ],
)
def test_a_flush_that_is_left_out_is_found(
    world: World, powered: Disk, tmp_path: Path, name: str, call: str, number: int
) -> None:
    walk = Walk(world, name, powered.at, tmp_path)
    flush = [point for point in walk.points if point.call == call][number]
    after, ended = cut_after(walk, powered, flush.omitted())
    assert ended == 0
    with pytest.raises(AssertionError):
        walk.require_whole(after, acknowledged=True)
