"""Nothing that a stranger sends or leaves unread fills the disk of the host: neither bodies nor answers."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.nginx import NGINX, nginx_before
from tests.support.nginx_disk import bytes_read, temporary_bytes
from tests.support.portal import Portal, Publisher, free_port, make_store, only_publisher

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

CLIENTS = 20
MIB = 1024 * 1024
PACKAGE_BYTES = 12 * MIB  # more than the kernel buffers for a connection
PATIENCE = 60  # seconds until a test gives up
STEADY_LOOKS = 5


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    root = tmp_path_factory.mktemp("disk")
    portal = Portal(make_store(root / "store", port=free_port(), accel=True, proxied=True)).start()
    try:
        with only_publisher(portal, root, scope="admin") as publisher:
            publisher.publish(1, payload_bytes=PACKAGE_BYTES)
            yield publisher
    finally:
        portal.stop()


@pytest.fixture(scope="module")
def root(publisher: Publisher) -> Path:
    return publisher.portal.store.layout.root


@pytest.fixture(scope="module")
def front(publisher: Publisher) -> Iterator[httpx.URL]:
    with nginx_before(publisher.portal) as url:
        yield httpx.URL(url)


def connect(front: httpx.URL) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # a client that does not read
    connection.settimeout(PATIENCE)
    connection.connect((front.host, front.port))
    return connection


def request(method: str, target: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def wait_until_steady(value: Callable[[], int]) -> None:
    deadline, last, looks = time.monotonic() + PATIENCE, -1, 0
    while looks < STEADY_LOOKS:
        assert time.monotonic() < deadline
        now = value()
        looks, last = (looks + 1, last) if now == last else (0, now)
        time.sleep(0.05)


CONDITIONS = {
    "nothing": (),
    "any tag": ("If-Match: *",),
    "the tag": ("If-Match: {etag}",),
    "the tag and a range": ("If-Match: {etag}", "Range: bytes=1-"),
    "unmodified": ("If-Unmodified-Since: Fri, 31 Dec 2049 23:59:59 GMT",),
    "unmodified since no date": ("If-Unmodified-Since: yesterday",),
    "several ranges": ("Range: bytes=0-4999999,5000001-",),
    "overlapping ranges": ("Range: bytes=0-4999999,1-",),
    "empty list items": ("Range: bytes=,0-",),
    "a number beyond 64 bits": (f"Range: bytes=0-{2**64}",),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_download_that_is_not_read_is_not_stored(
    publisher: Publisher, front: httpx.URL, root: Path, condition: str
) -> None:
    info = httpx.get(front.join(f"/api/store/apps/{publisher.app_id}")).json()
    lines = [line.format(etag=f'"{info["sha256"]}"') for line in CONDITIONS[condition]]
    with ExitStack() as connections:
        for _ in range(CLIENTS):
            connection = connections.enter_context(connect(front))
            connection.sendall(request("GET", httpx.URL(info["download_url"]).path, *lines))
            assert connection.recv(12, socket.MSG_PEEK) in (b"HTTP/1.1 200", b"HTTP/1.1 206")
        wait_until_steady(lambda: bytes_read(root))
        assert temporary_bytes(root) == 0
