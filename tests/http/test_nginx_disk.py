"""Nothing that a stranger sends or leaves unread fills the disk of the host: neither bodies nor answers."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from deploys.plan.nginx import SMALL_BODY_MAX
from portal.http.forms import JSON_MAX
from tests.support.nginx import NGINX, nginx_before
from tests.support.nginx_disk import bytes_read, temporary_bytes
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, Publisher, free_port, make_store, only_publisher

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

CLIENTS = 20
MIB = 1024 * 1024
PACKAGE_BYTES = 12 * MIB  # more than the kernel buffers for a connection
STEADY_LOOKS = 5


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    root = tmp_path_factory.mktemp("disk")
    with (
        Portal(make_store(root / "store", port=free_port(), accel=True, proxied=True)) as portal,
        only_publisher(portal, root, scope="admin") as publisher,
    ):
        publisher.publish(1, payload_bytes=PACKAGE_BYTES)
        yield publisher


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


def answered(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """The status and the problem of an answer."""
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        received += connection.recv(65536) or pytest.fail(f"the connection ended after {received!r}")
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


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


UPLOADS = ("/api/uploads/{upload_id}", "/versions", "/icon", "/screenshots", "/screenshots/{number}")
"""How the paths end that bodies over 64 KiB may be sent to."""

ANYWHERE = ("/", "/nope", "/metrics", "/assets/nope", "/downloads/nope", "/_files/nope", "/_files/range/nope")
SENT = 512 * 1024  # more than any buffer of nginx; bytes of a body that announces more, and then nothing


@pytest.fixture(scope="module")
def routes(front: httpx.URL) -> list[tuple[str, str]]:
    """Methods and paths of everything that the store answers, with methods of their own for what is only read."""
    paths = httpx.get(front.join("/openapi.json")).json()["paths"]
    known = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return known + [("POST", path) for path in (*paths, *ANYWHERE)]


@pytest.mark.parametrize("framing", [f"Content-Length: {40 * MIB}", "Transfer-Encoding: chunked"])
def test_no_body_of_a_stranger_reaches_the_disk(
    front: httpx.URL, root: Path, routes: list[tuple[str, str]], framing: str
) -> None:
    assert len(routes) > 50
    body = bytes(SENT) if "Length" in framing else f"{40 * MIB:x}\r\n".encode() + bytes(SENT)
    for method, path in routes:
        target = path.format_map(Filled())
        with connect(front) as connection:
            connection.sendall(request(method, target, framing) + body)
            if path.endswith(UPLOADS):
                wait_until_steady(lambda: bytes_read(root))
            elif method != "HEAD":
                status, problem = answered(connection)
                internal = path.startswith("/_files/")
                wanted = (404, "FILE_NOT_FOUND") if internal else (413, "FILE_TOO_LARGE")
                assert (status, problem["code"]) == wanted, (method, target)
            assert temporary_bytes(root) == 0, (method, target)


class Filled(dict[str, str]):
    """Values for the parameters of any path."""

    def __missing__(self, name: str) -> str:
        return {"upload_id": "0" * 32, "version_code": "1"}.get(name, "org.example.app")


def test_a_small_body_in_the_smallest_chunks_stays_in_memory(front: httpx.URL, root: Path) -> None:
    with connect(front) as connection:
        connection.sendall(request("POST", "/api/apps", "Transfer-Encoding: chunked") + b"1\r\nx\r\n" * 60_000)
        wait_until_steady(lambda: bytes_read(root))
        assert temporary_bytes(root) == 0


def test_the_largest_json_that_the_portal_parses_reaches_it(front: httpx.URL) -> None:
    assert SMALL_BODY_MAX == JSON_MAX
    assert httpx.post(front.join("/api/apps"), content=bytes(JSON_MAX)).status_code == 401
