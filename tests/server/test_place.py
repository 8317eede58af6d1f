"""A portal takes the place where it listens from nobody, and gives up only its own."""

import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portal.server import place
from portal.server.place import PlaceUnusable
from portal.store.store import Store
from tests.support.portal import MOSIS, Portal, environ, free_port, make_store, mosis

KINDS = ("socket", "port")


@contextmanager
def running(store: Store) -> Iterator[Portal]:
    portal = Portal(store).start()
    try:
        yield portal
    finally:
        portal.stop(signal.SIGKILL)


@pytest.fixture(params=KINDS)
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    where = {"socket": str(tmp_path / "portal.sock")} if request.param == "socket" else {}
    return make_store(tmp_path / "store", port=free_port(), **where)


def ready(store: Store) -> bool:
    return mosis(store, "status", "--wait", "0.1").returncode == 0


def test_a_second_portal_is_refused_and_the_first_goes_on(listening: Store) -> None:
    with running(listening) as portal:
        ran = mosis(listening, "serve")
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr.startswith("The store is running already")
        assert len(ran.stderr.splitlines()) == 1
        assert ready(listening)
        portal.stop()
    with running(listening):
        assert ready(listening)


def test_another_store_does_not_share_the_port(tmp_path: Path) -> None:
    """Two portals of one user may bind a port both, and would then answer each other's requests."""
    port = free_port()
    with running(make_store(tmp_path / "one", port=port)):
        ran = mosis(make_store(tmp_path / "two", port=port), "serve")
        assert ran.returncode == 1
        assert f"127.0.0.1:{port}" in ran.stderr


def test_what_a_killed_portal_left_is_taken(listening: Store) -> None:
    with running(listening) as portal:
        portal.stop(signal.SIGKILL)
        assert listening.settings.socket is None or listening.settings.socket.is_socket()
    with running(listening):
        assert ready(listening)


def test_a_bridge_runs_beside_and_leaves_the_other_socket(tmp_path: Path) -> None:
    """As in an exchange: the same settings, and another socket by MOSIS_SOCKET."""
    store = make_store(tmp_path / "store", socket=str(tmp_path / "portal.sock"))
    bridge = tmp_path / "bridge.sock"
    with running(store):
        with subprocess.Popen([MOSIS, "serve"], env=environ(store, MOSIS_SOCKET=str(bridge))) as process:
            assert mosis(store, "status", "--wait", "30", MOSIS_SOCKET=str(bridge)).returncode == 0
            process.terminate()
        assert not bridge.exists()
        assert ready(store)


def test_a_portal_that_ends_leaves_a_socket_that_replaced_its_own(tmp_path: Path) -> None:
    path = tmp_path / "portal.sock"
    store = make_store(tmp_path / "store", socket=str(path))
    with running(store) as portal:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            portal.stop()
            assert path.is_socket()


def test_a_socket_of_another_program_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "WAIT_SECONDS", 0)
    path = tmp_path / "other.sock"
    store = make_store(tmp_path / "store", socket=str(path))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(PlaceUnusable), place.held(store.settings):
            pass
        assert path.is_socket()


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    ran = mosis(make_store(tmp_path / "store", socket=str(path)), "serve")
    assert ran.returncode == 1
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"socket": "/proc/mosis/portal.sock"}, "`socket`"),
        ({"host": "192.0.2.1"}, "`port`"),
        ({"host": "no.such.host.invalid"}, "`host`"),
    ],
)
def test_a_place_that_cannot_be_listened_at_is_named_with_its_setting(
    tmp_path: Path, values: dict[str, str], setting: str
) -> None:
    ran = mosis(make_store(tmp_path / "store", port=free_port(), **values), "serve")
    assert ran.returncode == 1
    assert setting in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_of_two_that_start_at_once_one_serves(listening: Store) -> None:
    log = (listening.layout.root / "both.log").open("wb")
    both = [subprocess.Popen([MOSIS, "serve"], env=environ(listening), stdout=log, stderr=log) for _ in range(2)]
    waits = {os.pidfd_open(process.pid): process for process in both}
    try:
        assert ready(listening) or mosis(listening, "status", "--wait", "30").returncode == 0
        [ended], *_ = select.select([*waits], [], [], 60)
        assert waits.pop(ended).wait() == 1
        [serving] = waits.values()
        assert serving.poll() is None
        assert ready(listening)
    finally:
        for process in both:
            process.kill()
            process.wait()
        for wait in waits:
            os.close(wait)
        log.close()
