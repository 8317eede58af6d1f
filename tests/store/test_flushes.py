"""How often a change waits for the disk: one that flushes more is slower, one that flushes less is not durable."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import injection
from tests.support.changes import CHANGES, World, make_world

FLUSHES = {
    "an upload by form": ("package.mosis", "manifest.json", "3", "org.example.reader", "portal.db-wal"),
    "a signed upload completed": ("package.mosis", "manifest.json", "2", "org.example.reader", "portal.db-wal"),
    "a signed upload issued": ("temp", ".package.mosis", "UPLOAD", "portal.db-wal"),
    "a body continued": ("package.mosis", "portal.db-wal"),
    "an upload terminated": ("portal.db-wal",),
    "an icon replaced": ("0", "1", "2", "org.example.reader", "portal.db-wal"),
    "a screenshot added": ("0", "screenshots", "portal.db-wal"),
    "a screenshot replaced": ("0", "screenshots", "portal.db-wal"),
    "a screenshot deleted": ("portal.db-wal",),
}
"""The files and directories that a change flushes, in order, before it is acknowledged."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("flushes")
    injection.require_strace(directory)
    return make_world(directory)


@pytest.mark.parametrize("name", FLUSHES)
def test_a_change_flushes_each_of_its_parts_once(world: World, tmp_path: Path, name: str) -> None:
    copy = world.copy(tmp_path / "store")

    def prepared() -> Callable[[], object]:
        store = copy.open()
        with store.db.write() as tx:  # so that there is a WAL, whose header is flushed
            tx.execute("UPDATE apps SET name = name || '.'")
        return lambda: CHANGES[name](store, copy)

    flushed = [_named(path) for path in injection.flushed(prepared, tmp_path)]
    assert tuple(flushed) == FLUSHES[name]


def _named(path: Path) -> str:
    if path.parent.name == "temp":
        return "UPLOAD"
    return ".package.mosis" if path.name.startswith(".package.mosis.") else path.name
