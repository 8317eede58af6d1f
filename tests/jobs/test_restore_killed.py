"""A restore that is killed or interrupted before any of its lines is completed by the next one, and loses nothing."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest

from portal.jobs import backup, restore
from portal.recovery import copies, drive, lineage, offline, replacement, set_aside
from portal.settings import Settings
from portal.store import known_files
from portal.store.layout import Layout
from portal.store.store import open_store
from tests.support.portal import Publisher

TRACED = {module.__file__ for module in (restore, replacement, set_aside, offline, lineage, copies, drive)}
KILLED, DONE = 9, 0
Line = tuple[str, int]


@pytest.fixture
def damaged(published: Publisher) -> Settings:
    """A store whose newest version is in no copy, with an emptied replica, a damaged package and a good drive."""
    store = published.portal.store
    backup.database(store)
    backup.packages(store)
    published.publish(4)
    published.portal.stop()
    store.db.close()
    (store.layout.replica / "ltx").mkdir(parents=True)
    store.layout.package("acme", "org.example.app", 1).write_bytes(b"bit rot")
    return store.settings


def stop_at(line: Line, action: Callable[[], None]) -> None:
    """Do this before the line of a traced module runs for the first time."""

    def trace(frame: FrameType, event: str, _argument: object) -> object:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line" and (frame.f_code.co_filename, frame.f_lineno) == line:
            sys.settrace(None)
            action()
        return trace

    sys.settrace(trace)


def lines_of(run: Callable[[], object]) -> list[Line]:
    seen: dict[Line, None] = {}

    def trace(frame: FrameType, event: str, _argument: object) -> object:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            seen.setdefault((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(None)
    return list(seen)


def in_child(run: Callable[[], object]) -> int:
    """The exit status of a process that does this."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        run()
    except KeyboardInterrupt:
        os._exit(KILLED)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(DONE)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("how", "every"), [(lambda: os._exit(KILLED), 1), (interrupt, 5)], ids=["kill", "interrupt"])
def test_the_next_restore_completes_it(damaged: Settings, how: Callable[[], None], every: int) -> None:
    layout = Layout(damaged.root)
    saved = damaged.root.with_name("saved")
    shutil.copytree(damaged.root, saved)
    lines = lines_of(lambda: restore.restore(damaged, replace_database=True))
    assert len(lines) > 100
    for line in lines[::every]:
        shutil.rmtree(damaged.root)
        shutil.copytree(saved, damaged.root)

        def killed(line: Line = line) -> None:
            stop_at(line, how)
            restore.restore(damaged, replace_database=True)

        assert in_child(killed) == KILLED, line
        whole_or_none(damaged, saved)
        lost = not layout.database.exists()
        assert in_child(lambda: restore.restore(damaged)) == DONE, line
        whole(damaged)
        assert found(damaged.root, saved / "packages/acme/org.example.app/4/package.mosis"), line
        if lost or codes(layout.database) == [1, 2, 3]:
            [old] = layout.area("data").glob("before-restore-*/portal.db")
            assert codes(old) == [1, 2, 3, 4], line
        assert list(layout.area("data").glob("restoring-*")) == []


def whole_or_none(settings: Settings, saved: Path) -> None:
    """Every portal that could start now has the files that its database names, except the damaged one."""
    if Layout(settings.root).database.exists():
        store = open_store(settings)
        with closing(store.db) as db:
            for file in known_files.every(db.read(), store.layout):
                assert file.is_good(settings.root) or not file.is_good(saved), file.path


def whole(settings: Settings) -> None:
    store = open_store(settings)
    with closing(store.db) as db:
        assert all(file.is_good(settings.root) for file in known_files.every(db.read(), store.layout))


def found(root: Path, path: Path) -> bool:
    return any(other.read_bytes() == path.read_bytes() for other in root.rglob("package.mosis"))


def codes(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT version_code FROM versions ORDER BY 1")]
