"""Killed before any system call, or failing at it, a change is made or not made, and nothing is left behind.

A run of the suite tries some calls of each change; with MOSIS_EVERY_CALL=1 it tries each of them.
"""

import os
import signal
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from portal.store import apps, files, uploads
from tests.packages.samples import APP_ID
from tests.support import injection
from tests.support.changes import CHANGES, World, make_world, others, start, state
from tests.support.injection import Point, Work
from tests.support.walk import Walk, at

EACH = 4  # points of a change and a fault, unless all are tried
FAULTS: dict[str, tuple[str, ...]] = {
    "EIO": ("openat", "write", "pwrite64", "mkdir", "link", "rename", "unlink", "rmdir", "fsync", "fdatasync"),
    "ENOSPC": ("openat", "write", "pwrite64", "ftruncate", "mkdir", "link", "rename"),
}
"""By error, which calls it happens to."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("calls")
    injection.require_strace(directory)
    return make_world(directory)


def chosen(points: list[Point]) -> list[Point]:
    if os.environ.get("MOSIS_EVERY_CALL"):
        return points
    return points[len(points) // EACH // 2 :: max(1, len(points) // EACH)]


@pytest.fixture(params=CHANGES)
def walk(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Walk:
    return Walk(world, request.param, tmp_path, tmp_path)


def test_killed_before_a_call(walk: Walk) -> None:
    for point in chosen(walk.points):
        world = walk.copy()
        with at(point):
            ended = walk.run(world, point.killed())
            assert ended in (-signal.SIGKILL, 0), "0: a call that was made the first time only"
            walk.require_whole(world, acknowledged=ended == 0)


@pytest.mark.parametrize("error", FAULTS)
def test_a_call_fails(walk: Walk, error: str) -> None:
    for point in chosen([point for point in walk.points if point.call.removesuffix("at") in FAULTS[error]]):
        world = walk.copy()
        with at(point):
            ended = walk.run(world, point.failing(error))
            assert ended in (0, 1)
            assert state(world) in (*walk.incomplete, walk.new), "without a restart"
            walk.require_whole(world, acknowledged=ended == 0)


def test_killed_while_it_removes_what_a_crash_left(world: World, tmp_path: Path) -> None:
    before, after = state(world.copy(tmp_path / "store")), litter(world.copy(tmp_path / "littered"))
    assert others(after)

    def work() -> Work:
        return partial(start, copy)

    copy = after.copy(tmp_path / "store")
    for point in chosen(injection.points(work, tmp_path)):
        copy = after.copy(tmp_path / "store")
        with at(point):
            injection.run(work, tmp_path / "log", point.killed())
            start(copy)
            assert others(copy) == set()
            assert state(copy) == before


def litter(world: World) -> World:
    """Something of each kind."""
    store = world.open()
    with closing(store.db):
        layout = store.layout
        uploads.begin(store, uploads.new(store, apps.get(store.db.read(), APP_ID)))
        for path in (
            layout.staging("image-1") / "icon",
            layout.presign_keys.with_name(".presign-keys.1.0123abcd"),
            layout.package("acme", APP_ID, 9),
            layout.image(APP_ID, "icon-32.png", "0" * 64),
        ):
            files.write_file(path, b"left")
        layout.asset(APP_ID, "icon-64.png").unlink()
    return world
