"""A connection that moves nothing gives its thread back; one that moves is left alone."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from portal.server.stalled import LEAST, Watch
from tests.http.raw import head
from tests.packages.samples import APP_ID, KEY, MIB
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store

THREADS = 4


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def pair(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(listener.getsockname(), timeout=30)
    return client, listener.accept()[0]


def transfer(source: socket.socket, target: socket.socket, size: int) -> None:
    source.sendall(bytes(size))
    while size:
        size -= len(target.recv(size))


def test_what_moves_in_either_direction_is_left_alone(listener: socket.socket) -> None:
    watch = Watch(listener.getsockname()[1])
    with ExitStack() as stack:
        silent, sending, reading = ([*map(stack.enter_context, pair(listener))] for _ in range(3))
        assert watch.look() == 0
        transfer(silent[0], silent[1], LEAST - 1)
        transfer(sending[0], sending[1], LEAST)
        transfer(reading[1], reading[0], LEAST)
        reading[0].sendall(b"a")  # and with it the last acknowledgement
        reading[1].recv(1)
        assert watch.look() == 1
        assert silent[0].recv(1) == b""
        transfer(sending[0], sending[1], LEAST)
        transfer(reading[0], reading[1], LEAST)
        assert watch.look() == 0


def test_a_connection_is_looked_at_twice_and_others_are_not_looked_at(listener: socket.socket) -> None:
    here, elsewhere = Watch(listener.getsockname()[1]), Watch(free_port())
    client, server = pair(listener)
    with client, server:
        assert [watch.look() for watch in (here, elsewhere, elsewhere)] == [0, 0, 0]
        assert here.look() == 1
        assert here.look() == 0


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A portal with one published package and few threads, which wait for no one longer than two seconds."""
    running = Portal(make_store(tmp_path / "store", port=free_port(), workers=1, threads=THREADS)).start()
    token = add_developer(running.store, "dev")
    with running.client(token) as client, running.client(add_developer(running.store, "rev", None, "admin")) as admin:
        client.post("/api/apps", json={"app_id": APP_ID, "name": "Reader"}).raise_for_status()
        publisher = Publisher(running, client, admin, tmp_path, APP_ID, KEY)
        publisher.publish(1, payload_bytes=20 * MIB)
        running.stop()
        monkeypatch.setenv("MOSIS_STALL_SECONDS", "1")
        running.start()
        yield publisher
    running.stop()


def answers_again(portal: Portal) -> bool:
    """A request that waits for a thread is itself cut off, and sent again."""
    for _ in range(5):
        with suppress(httpx.TransportError):
            return httpx.get(f"{portal.url}/healthz", timeout=30).status_code == 200
    return False


def held_by(portal: Portal, request: bytes) -> ExitStack:
    """A connection a thread, which sends the request and no more, and reads nothing."""
    stack = ExitStack()
    for _ in range(THREADS):
        connection = stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", portal.store.settings.port))
        connection.sendall(request)
    return stack


def test_bodies_that_never_end_give_their_threads_back(narrow: Publisher) -> None:
    fields = (
        f"Authorization: {narrow.client.headers['Authorization']}",
        "Content-Type: multipart/form-data; boundary=b",
        "Content-Length: 5000",
    )
    with held_by(narrow.portal, head("POST", f"/api/apps/{APP_ID}/versions", *fields) + b"-"):
        assert answers_again(narrow.portal)
    deadline = time.monotonic() + PATIENCE
    while left := list(narrow.portal.store.layout.area("temp").rglob("*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_readers_who_never_read_give_their_threads_back(narrow: Publisher) -> None:
    with held_by(narrow.portal, head("GET", f"/api/store/apps/{APP_ID}/download")):
        assert answers_again(narrow.portal)
